"""Models: the contract, and one learner per file."""

from headrace.models.contract import Block, Columns, Learner, Recipe
from headrace.models.logistic import Logistic

__all__ = ["Block", "Columns", "Learner", "Logistic", "Recipe"]
