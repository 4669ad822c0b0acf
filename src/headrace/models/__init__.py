"""Models: the contract, and one learner per file."""

from headrace.models.contract import Block, Columns, Learner, Recipe
from headrace.models.logistic import Logistic
from headrace.models.no_change import NoChange
from headrace.models.running_mean import RunningMean

__all__ = ["Block", "Columns", "Learner", "Logistic", "NoChange", "Recipe", "RunningMean"]
