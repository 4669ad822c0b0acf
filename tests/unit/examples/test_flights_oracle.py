"""The oracle of the flights agrees with vectors worked out by hand from the package's tables."""

from tests.oracle.flights import vectors


def test_the_first_flight_of_the_year_knows_only_the_weather() -> None:
    # 5:15 in New York is 10:15 UTC. The weather of the hour from 9 is known at 10; that from 10 only at 11.
    first = "2013-01-01-UA-1545-EWR"
    assert vectors([first])[first] == {
        "distance": 1400.0,
        "hour_at": 5.0,
        "weekday_at": 1.0,
        "carrier": "UA",
        "origin_x_dest": ("EWR", "IAH"),
        "carrier_mean_delay_min_1h": 0.0,
        "carrier_mean_delay_min_3h": 0.0,
        "carrier_mean_delay_min_24h": 0.0,
        "tail_last_delay_min_2d": 0.0,
        "tail_seconds_since_2d": 172_800.0,
        "origin_dest_mean_label_28d": 0.2,
        "wind": 12.658579999999999,
        "visibility": 10.0,
        "queue": 0.0,
    }


def test_an_evening_flight_knows_what_landed_before_it_left() -> None:
    # Asked at 22:30 UTC. Frontier landed at 2:47 (6 early) and 18:20 (18 late), both more than 3 hours ago.
    # To Denver 17 flights are known, 6 of them late; one that landed at 22:37 is not.
    evening = "2013-01-02-F9-511-LGA"
    assert vectors([evening])[evening] == {
        "distance": 1620.0,
        "hour_at": 17.0,
        "weekday_at": 2.0,
        "carrier": "F9",
        "origin_x_dest": ("LGA", "DEN"),
        "carrier_mean_delay_min_1h": 0.0,
        "carrier_mean_delay_min_3h": 0.0,
        "carrier_mean_delay_min_24h": 6.0,
        "tail_last_delay_min_2d": 0.0,
        "tail_seconds_since_2d": 172_800.0,
        "origin_dest_mean_label_28d": 10 / 37,
        "wind": 14.960139999999999,
        "visibility": 10.0,
        "queue": 12.0,
    }


def test_a_flight_on_the_hour_in_summer_time_does_not_know_the_weather_of_that_hour() -> None:
    # Asked at 14:00 UTC, when the weather of 13:00 (wind 10.4) has its event time: strictly before means it is out.
    # The aircraft landed in Honolulu 37 h 10 min ago, 20 early; Hawaiian's last landing was 22 early.
    # 28 flights landed there in 28 days, 3 of them late.
    honolulu = "2013-04-21-HA-51-JFK"
    assert vectors([honolulu])[honolulu] == {
        "distance": 4983.0,
        "hour_at": 10.0,
        "weekday_at": 6.0,
        "carrier": "HA",
        "origin_x_dest": ("JFK", "HNL"),
        "carrier_mean_delay_min_1h": 0.0,
        "carrier_mean_delay_min_3h": 0.0,
        "carrier_mean_delay_min_24h": -22.0,
        "tail_last_delay_min_2d": -20.0,
        "tail_seconds_since_2d": 133_800.0,
        "origin_dest_mean_label_28d": 7 / 48,
        "wind": 11.5078,
        "visibility": 10.0,
        "queue": 21.0,
    }
