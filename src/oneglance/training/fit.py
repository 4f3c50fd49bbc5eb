"""The training loop: one pass over mixed batches of all sources, resumable at every step."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from oneglance.balance import Balance, Group
from oneglance.config import Config
from oneglance.data.dataset import AnnotatedImages, Batch
from oneglance.data.loader import TrainLoader, default_workers, evaluation_batches
from oneglance.data.sizes import Sizes
from oneglance.errors import OneglanceError, Problem, Problems
from oneglance.evaluation.evaluate import Scores, evaluate, mean_relative_score
from oneglance.ingest import check_source_names
from oneglance.manifest import Manifest
from oneglance.memory import affordable, keep_freed
from oneglance.network.device import device_of
from oneglance.network.network import Network
from oneglance.tasks import create_tasks
from oneglance.tasks.base import Task
from oneglance.training import checkpoint
from oneglance.training.clock import Clock
from oneglance.training.draws import labelled_rows, training_batches
from oneglance.training.finite import Made, check_finite, floats
from oneglance.training.fitting import fit_heads
from oneglance.training.logs import Logs
from oneglance.training.observer import Observer
from oneglance.training.progress import TrainingProgress
from oneglance.training.schedule import AveragedWeights, Stages, create_optimizer, learning_rate, set_rates
from oneglance.training.settings import TrainSettings

logger = logging.getLogger(__name__)

STATE, LAST, BEST = "state.safetensors", "last.safetensors", "best.safetensors"
LOG_EVERY = 10  # steps between the losses that are written down


class Training:
    """One training run in a folder.

    Args:
        config: the configuration, its paths resolved.
        manifest: all images with their splits.
        folder: where weights, state and logs go.
        problems: images that can't be read are noted here, each once.
        observer: is shown every step before it is made.
        on_scores: told the epochs made and the scores after each evaluation, once the state is safe; what it raises
            stops the training, which can be resumed.
    """

    def __init__(
        self,
        config: Config,
        manifest: Manifest,
        folder: Path,
        problems: Problems,
        *,
        quiet: bool = False,
        observer: Observer | None = None,
        on_scores: Callable[[int, Scores], None] = lambda epochs, scores: None,
    ) -> None:
        self.config, self.manifest, self.folder, self.problems = config, manifest, folder, problems
        self.observer, self._on_scores = observer, on_scores
        self.settings: TrainSettings = config.train
        self.quiet = quiet
        self._reported: set[str] = set()
        # Fabric places the network; autocast is ours, since the balance calls backward itself.
        device_of(self.settings.device, "train.device")
        try:
            self.fabric = Fabric(accelerator=self.settings.device, devices=1)
        except (ValueError, RuntimeError, ImportError) as error:
            raise OneglanceError(f"train.device {self.settings.device!r} can't be used here: {error}") from error
        self.bf16 = _bf16(self.settings)
        self.group = Group(self.fabric.device)
        torch.manual_seed(self.settings.seed)
        self.tasks = create_tasks(config.tasks)
        sizes = self._sizes()
        self.network = Network(self.tasks, config.trunk, config.sharing, sizes, self.settings.scored_as)
        earlier = self.settings.start
        new = list(self.network.state_dict()) if earlier is None else checkpoint.take_over(self.network, earlier)
        if self.network.tie is not None:
            self.network.tie.begin()
        state = self.network.state_dict()
        # What has no numbers yet (a centre for each person) is made by learn_statistics; a frozen head needs none.
        empty = {key for key, value in state.items() if not value.numel()}
        untaught = [name for name in self.tasks if any(k.startswith(f"heads.{name}.") for k in {*new, *empty})]
        for name in [name for name in untaught if self.tasks[name].settings.freeze]:
            if any(key.startswith(f"heads.{name}.") for key in {*new} - empty):
                raise OneglanceError(f"tasks.{name}.freeze: {earlier} has no weights for its head")
        self.loader = self._loader()
        self.total = self.loader.steps * self.settings.epochs
        for name in untaught:  # what an earlier run's head knows of its labels goes with its weights
            if self.tasks[name].settings.freeze:
                continue
            rows = self.manifest.rows(split="train")
            rows = rows[manifest.labelled(name)[rows]]
            self.tasks[name].learn_statistics(manifest, rows, self.network.heads[name])
            doubts = [] if len(rows) else ["no image of the split train is labelled for it: it is not trained"]
            for doubt in [*doubts, *self.tasks[name].doubts(manifest)]:
                self.problems.add(f"task {name!r}", doubt, is_note=True)
                logger.warning("task %r: %s", name, doubt)
        self.optimizer = create_optimizer(self.network, self.settings)
        self.average = AveragedWeights(self.network, self.settings.ema, self.total)
        self._stages = Stages(config, self.total)
        #: The configuration that holds at the step: its weights, rates and other numbers may change.
        self.now = config
        self.balance = Balance(
            self.config.balance,
            _own_weights(config),
            parts={name: task.settings.parts for name, task in self.tasks.items()},
            shared=self.network.shared_parameters(),
            seed=self.settings.seed,
            device=self.fabric.device,
            group=self.group,
        )
        #: Heads that are fitted to the averaged weights (see :mod:`oneglance.training.fitting`), and after how many
        #: images of training they were.
        self._fitted: dict[str, Tensor] = {}
        self._fitted_after = -1
        self._history: list[dict[str, float]] = []
        self._best_at = -1
        self._stale = 0
        self._clock = Clock()

    @property
    def cost(self) -> dict[str, Any]:
        """What the training took so far: ``seconds`` (evaluations included) and ``images``, over all its sessions."""
        precision = "bf16" if self.bf16 else "float32"
        taken = {"seconds": round(self._clock.seconds, 3), "images": self._clock.images}
        return {**taken, "device": str(self.fabric.device), "precision": precision}

    @cached_property
    def _fingerprint(self) -> str:
        return self.manifest.fingerprint()  # half a minute for a million rows: once, not with every state

    def run(self, resume: bool = False) -> Scores:
        """Train to the end; returns the last scores on ``val`` (empty where there is no such split).

        With ``resume``, go on from the folder's state: the result is bit for bit that of an undisturbed run (on CPU).
        """
        keep_freed(affordable(2))
        self._model, self._optimizer = self.fabric.setup(self.network, self.optimizer)
        # After the network was placed: the optimiser's moments go where its parameters are.
        self._clock = Clock()
        start = self._restore() if resume else 0
        device = self.fabric.device
        self.average.state = {name: value.to(device) for name, value in self.average.state.items()}
        steps = self.loader.steps
        scores: Scores = {}
        with (
            Logs(self.folder, start if resume else None) as logs,
            TrainingProgress(self.total, self.settings.epochs, start, self.quiet) as progress,
        ):
            for epoch in range(start // steps, self.settings.epochs):
                # Not at the epoch's end, so that a run killed right after its last state stops as well.
                if self.settings.patience is not None and self._stale >= self.settings.patience:
                    progress.say(f"stopped: no better mean score in {self._stale} evaluations")
                    break
                losses = self._epoch(epoch, start % steps, logs, progress)
                start = (epoch + 1) * steps
                left = self._clock.seconds_for((self.total - start) * self.settings.batch)
                progress.epoch(epoch, losses, self._clock.rate, left)
                evaluated = (epoch + 1) % self.settings.evaluate_every == 0 or epoch + 1 == self.settings.epochs
                if evaluated:
                    scores = self._evaluate(epoch, start, logs, progress)
                self._save_state(start)
                if evaluated:
                    self._on_scores(epoch + 1, scores)
            rows = self.manifest.rows(split="val")
            if not scores and len(rows):
                scores = self.score(rows)  # resumed when all steps had been made: only the end was missing
            self._save_weights(LAST)
        return scores

    def _epoch(self, epoch: int, first: int, logs: Logs, progress: TrainingProgress) -> dict[str, float]:
        """The steps of an epoch from batch ``first`` on; returns each task's mean loss."""
        self.network.train()
        steps = self.loader.steps
        pending: Made | None = None
        sums: dict[str, list[Tensor]] = {}
        shown: dict[str, float] = {}
        for number, batches in enumerate(self.loader.epoch(epoch, first), first):
            step = epoch * steps + number
            for batch in batches:
                self._report(batch.problems)
            if any(batch.rows for batch in batches) or self.group.world > 1:
                moved = [batch.to(self.fabric.device) for batch in batches]
                self._change(step)
                self._observe(moved, step, epoch, logs)
                made = self._step(moved, step)
                # The look at the previous step's loss does not make the device wait for this one's.
                self._check(pending)
                pending = made
                for name, of_task in made.terms.items():
                    sums.setdefault(name, []).append(torch.stack(list(of_task.values())).sum())
                if number % LOG_EVERY == 0:  # reading the figures makes the device wait
                    figures = floats(made.terms)
                    shown.update({name: sum(of_task.values()) for name, of_task in figures.items()})
                    logs.write(step, epoch, "loss", figures)
                    logs.write(step, epoch, "sharing", floats({"": made.tied}))
                    logs.write(step, epoch, "rate", {"": {"lr": self.optimizer.param_groups[0]["lr"]}})
                for kind, of_tasks in self.balance.records().items():
                    logs.write(step, epoch, kind, of_tasks)
            self._clock.saw(sum(len(batch.images) for batch in batches))
            progress.step(epoch, shown, self._clock.rate)
            if (step + 1) % self.settings.checkpoint_every == 0 and number + 1 < steps:
                self._check(pending)
                self._save_state(step + 1)
        self._check(pending)
        self.balance.end_epoch()
        return {name: float(torch.stack(values).mean()) for name, values in sums.items()}

    def _change(self, step: int) -> None:
        """Take on what the schedule says for a step, where that is another stage than the last step's."""
        if (now := self._stages.at(step)) is not self.now:
            self.now = now
            set_rates(self.optimizer, self.network, now.train)
            self.balance.change(now.balance, _own_weights(now))

    def _observe(self, batches: list[Batch], step: int, epoch: int, logs: Logs) -> None:
        """Note what the observer sees of a step that is about to be made."""
        if self.observer is not None:
            with self._clock.aside():
                for kind, figures in self.observer.look(self, step, batches).items():
                    logs.write(step, epoch, kind, figures)

    def _loader(self) -> TrainLoader:
        settings = self.settings
        active = {name: task for name, task in self.tasks.items() if not task.settings.freeze}
        check_source_names(self.config, self.manifest)
        batches = training_batches(self.config, self.manifest, active, self.group.rank, self.group.world)
        rows = labelled_rows(self.manifest, active)
        names = np.array(self.manifest.values("source"), object)[rows]
        sources = {name: rows[names == name] for name in dict.fromkeys(names)}
        augment = {name: self.config.augment_of(name) for name in sources}
        images = AnnotatedImages(
            self.manifest, active, settings.size, sizes=settings.sizes, augment=augment, partners=sources,
            seed=settings.seed,
        )  # fmt: skip
        if settings.epochs > 1:
            images.files.keep(rows, settings.cache)
        return TrainLoader(images, batches, default_workers() if settings.workers is None else settings.workers)

    def _sizes(self) -> list[tuple[int, int]]:
        """The sizes of the training images that a task is asked about: a frozen one's as well, for what an earlier run
        knows of them is kept."""
        sizes = Sizes(self.settings.size, self.settings.sizes)
        numbers = sizes.by_row(self.manifest)[labelled_rows(self.manifest, self.tasks)]
        return [sizes.all[number] for number in np.unique(numbers)]

    def _step(self, batches: list[Batch], step: int) -> Made:
        """One step on the parts of a batch, which are on the device already."""
        factor = learning_rate(step, self.total, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        counts = Counter(dict.fromkeys(self.balance.tasks, 0))
        for batch in batches:
            counts.update({name: len(rows) for name, rows in batch.rows.items()})
        self._optimizer.zero_grad(set_to_none=True)
        self.balance.begin(step, counts)
        whole: dict[str, dict[str, Tensor]] = {}
        for batch in batches:
            if not batch.rows:
                continue
            cut = self.balance.cut()
            with torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=self.bf16):
                outputs = self._model(batch.images, batch.rows, batch.boxes, batch.content(self.fabric.device), cut)
            terms = {name: self.tasks[name].terms(of_task, batch.targets[name]) for name, of_task in outputs.items()}
            self.balance.add(terms, batch.rows, cut)
            for name, of_task in terms.items():
                share = len(batch.rows[name]) / counts[name]
                for term, value in of_task.items():
                    so_far = whole.setdefault(name, {})
                    so_far[term] = so_far.get(term, 0) + share * value.detach()
        total = self.balance.finish()
        self.group.sum_gradients(self.network.parameters())
        tied = self._tie()
        total = total + torch.stack([*tied.values(), torch.zeros_like(total)]).sum()
        norms = [torch.nn.utils.clip_grad_norm_(apart, self.now.train.clip) for apart in self.network.apart()]
        self._optimizer.step()
        if self.network.tie is not None and (step + 1) % (self.config.sharing.every or 1) == 0:
            self.network.tie.learn()
        self.average.update(self.network, step)
        return Made(step, batches, whole, tied, total, torch.stack([norm.to(total.device) for norm in norms]).sum())

    def _tie(self) -> dict[str, Tensor]:
        """Add the gradient of what ties the trunks' weights, which is the same in all processes; returns its value."""
        settings = self.now.sharing
        if self.network.tie is None or not settings.strength:
            return {}
        term = settings.strength * self.network.tie.term()
        term.backward()
        return {str(settings.relation): term.detach()}

    def _check(self, made: Made | None) -> None:
        """Raises NotFinite where the step's loss or gradient was not finite."""
        check_finite(made, self.folder, self.manifest, self.folder / STATE)

    def _report(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if problem.where not in self._reported:
                self._reported.add(problem.where)
                self.problems.add(problem.where, problem.what)
                logger.warning("passed over: %s", problem)

    def _evaluate(self, epoch: int, step: int, logs: Logs, progress: TrainingProgress) -> Scores:
        rows = self.manifest.rows(split="val")
        if not len(rows):
            return {}
        scores = self.score(rows)
        logs.write(step - 1, epoch, "score", scores)
        own = {name: scores[name][task.score] for name, task in self.tasks.items()}
        self._history.append(own)
        best = best_scores(self._history, self.tasks)
        relative = [mean_relative_score(one, best, self.tasks) for one in self._history]
        shown = "  ".join(f"{name} {self.tasks[name].score} {value:.4f}" for name, value in own.items())
        if not math.isfinite(relative[-1]):
            shown += "  (no task could be scored)"  # neither a best nor a lack of progress
        elif self._best_at < 0 or relative[-1] > relative[self._best_at]:
            self._best_at, self._stale = len(self._history) - 1, 0
            self._save_weights(BEST)
            shown += "  (best)"
        else:
            self._stale += 1
        progress.say(f"  val: {shown}")
        return scores

    def score(self, rows: np.ndarray) -> Scores:
        """Scores of the averaged weights on these rows of the manifest."""
        images, workers = self._for_scoring(self.tasks)
        loader = evaluation_batches(images, rows, self.settings.batch, workers)
        found = Problems()
        with self._averaged(found):
            scores, _ = evaluate(self.network, self.tasks, loader, self.fabric.device, problems=found, bf16=self.bf16)
        self._report(found)
        return scores

    def _for_scoring(self, tasks: Mapping[str, Task[Any]]) -> tuple[AnnotatedImages, int]:
        """The images as they are scored by these tasks, and how many workers load them."""
        settings = self.settings
        images = AnnotatedImages(self.manifest, tasks, settings.scored_size, sizes=settings.scored_sizes)
        return images, default_workers() if self.settings.workers is None else self.settings.workers

    @contextmanager
    def _averaged(self, problems: Problems) -> Iterator[None]:
        """The network with its averaged weights, heads fitted to them."""
        own = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average.state | (self._fitted if self._fits_now else {}))
        try:
            if not self._fits_now:
                fitted = {name: task for name, task in self.tasks.items() if task.fits}
                images, workers = self._for_scoring(fitted)
                self._fitted = fit_heads(
                    self.network, fitted, images, self.fabric.device, batch=self.settings.batch, workers=workers,
                    bf16=self.bf16, problems=problems,
                )  # fmt: skip
                self._fitted_after = self._clock.images
            yield
        finally:
            self.network.load_state_dict(own)

    @property
    def _fits_now(self) -> bool:
        """Whether the fitted heads go with the averaged weights as they are."""
        return self._fitted_after == self._clock.images or not any(task.fits for task in self.tasks.values())

    def _save_weights(self, name: str) -> None:
        if not self._fits_now:
            found = Problems()
            with self._averaged(found):
                pass
            self._report(found)
        checkpoint.save(self.folder / name, self.average.state | self._fitted, {"kind": "weights"})

    def _save_state(self, step: int) -> None:
        tensors = checkpoint.pack(
            network=self.network.state_dict(),
            average=self.average.state,
            optimizer=checkpoint.optimizer_tensors(self.optimizer),
            random={"torch": torch.get_rng_state()},
            balance=self.balance.state(),
            tie={} if self.network.tie is None else self.network.tie.state(),
        )
        facts = {
            "kind": "state", "step": step, "total": self.total, "history": self._history, "best_at": self._best_at,
            "stale": self._stale, "fingerprint": self._fingerprint, "seconds": self._clock.seconds,
            "images": self._clock.images,
        }  # fmt: skip
        checkpoint.save(self.folder / STATE, tensors, facts)

    def _restore(self) -> int:
        """Take up the folder's state; returns the step to go on with."""
        path = self.folder / STATE
        tensors, facts = checkpoint.load(path)
        if facts["fingerprint"] != self._fingerprint or facts["total"] != self.total:
            raise OneglanceError(
                f"{path}: the run was begun with other data or another number of steps, so it can't be resumed; "
                "train into a new folder"
            )
        self.network.load_state_dict(checkpoint.unpack(tensors, "network"))
        self.average.state = checkpoint.unpack(tensors, "average")
        checkpoint.restore_optimizer(self.optimizer, checkpoint.unpack(tensors, "optimizer"))
        torch.set_rng_state(checkpoint.unpack(tensors, "random")["torch"])
        self.balance.load(checkpoint.unpack(tensors, "balance"))
        if self.network.tie is not None:
            self.network.tie.load(checkpoint.unpack(tensors, "tie"))
        self._history, self._best_at, self._stale = facts["history"], facts["best_at"], facts["stale"]
        self._clock = Clock(facts.get("seconds", 0.0), facts.get("images", 0))
        return int(facts["step"])


def best_scores(history: list[dict[str, float]], tasks: Mapping[str, Task[Any]]) -> dict[str, float]:
    """Each task's best score so far; NaN where it was never scored."""
    best: dict[str, float] = {}
    for name, task in tasks.items():
        values = [one[name] for one in history if math.isfinite(one[name])]
        best[name] = (max if task.higher_is_better else min)(values) if values else math.nan
    return best


def _own_weights(config: Config) -> dict[str, float]:
    """The weights that the tasks that are trained have of themselves."""
    return {name: task.weight for name, task in config.tasks.items() if not task.freeze}


def _bf16(settings: TrainSettings) -> bool:
    """Whether to compute in bf16: as asked for, or where the processor has instructions for it."""
    if settings.precision != "auto":
        return settings.precision == "bf16"
    if settings.device in ("auto", "cuda") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
