"""How the tasks' losses become one step."""

from oneglance.balance.balance import Balance
from oneglance.balance.group import Group
from oneglance.balance.settings import GRADIENT_METHODS, LOSS_METHODS, BalanceSettings

__all__ = ["GRADIENT_METHODS", "LOSS_METHODS", "Balance", "BalanceSettings", "Group"]
