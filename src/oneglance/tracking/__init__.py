"""Identities of objects over the frames of a film, and points that do not tremble."""

from oneglance.tracking.follower import Follower
from oneglance.tracking.mot import mot_lines
from oneglance.tracking.one_euro import OneEuro
from oneglance.tracking.settings import TrackSettings
from oneglance.tracking.tracker import Tracker

__all__ = ["Follower", "OneEuro", "TrackSettings", "Tracker", "mot_lines"]
