"""Where a run was made: the machine, and the state of the code."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import torch

import oneglance


def machine() -> str:
    """The machine in words: system, processor and cores, and what GPU torch finds."""
    words = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} cores"]
    name = _processor()
    if name:
        words.insert(1, name)
    if torch.cuda.is_available():
        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def commits(base: Path) -> dict[str, str]:
    """The git commits of oneglance's own code and of the folder ``base``, by what they are of; ``+`` after one: with
    changes. What is in no repository, or where there is no git, is left out."""
    found = {}
    own = Path(oneglance.__file__).parent
    # An installation below somebody else's repository is ignored there, and its commit is none of ours.
    if _git(own, "ls-files", "--error-unmatch", "__init__.py") and (commit := _commit(own)):
        found["oneglance"] = commit
    if commit := _commit(base):
        found["the configuration's folder"] = commit
    return found


def _commit(folder: Path) -> str:
    commit = _git(folder, "rev-parse", "HEAD")
    return commit + ("+" if commit and _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *words: str) -> str:
    """What git prints; nothing where it can't say."""
    git = shutil.which("git")
    if git is None:
        return ""
    try:
        done = subprocess.run([git, "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
