"""How the tasks' losses become one step."""

from oneglance.balance.settings import Balance, BalanceSettings, WeightedSum, create

__all__ = ["Balance", "BalanceSettings", "WeightedSum", "create"]
