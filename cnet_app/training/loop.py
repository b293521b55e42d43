"""The training loop: knows no family, no form of data and no page. It runs alone, or on several devices by accelerate."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from cnet_app.request.pictures import encode_png
from cnet_app.request.training import CHANGEABLE, TrainingPlan, plan_to_json
from cnet_app.training.examples import Encoded, Examples
from cnet_app.training.monitoring.probes import Look, Probes
from cnet_app.training.monitoring.progress import Progress
from cnet_app.training.optimizers import create_optimizer
from cnet_app.training.order import Order, emptied, noise_generator, part_of_process, variants
from cnet_app.training.run import GIVE_WAY_SECONDS, Record, RecordKind, RunFolder, State
from cnet_app.training.storage import checkpoints
from cnet_app.training.storage.checkpoints import Checkpoint
from cnet_app.training.trainable.base import Trainable
from models.errors import TrainingError, is_out_of_memory
from models.machine import memory
from models.machine.allocator import return_freed

Report = Callable[[Record], None]
LOOK = 0.2
"""Seconds between two looks at a `give-way` file."""


class Loop:
    """One run: `train` goes on to its end, or to a wish to stop. All processes of an accelerate launch run the same."""

    def __init__(
        self,
        run: RunFolder,
        plan: TrainingPlan,
        trainable: Trainable,
        examples: Examples,
        probes: Probes | None,
        accelerator: Accelerator,
        report: Report,
    ) -> None:
        """Resume from the newest checkpoint. Raises InputError where it is another plan's or other data's; DamagedError."""
        self._run, self._plan, self._trainable, self._examples = run, plan, trainable, examples
        self._probes, self._accelerator, self._report = probes, accelerator, report
        self._objective = trainable.objective
        self.progress = Progress()
        self._saved: int | None = None
        self._must_end = False
        checkpoints.check_same(run.checkpoints, plan_to_json(plan), examples.key, examples.pairs_key, CHANGEABLE)
        moved = checkpoints.check_processes(run.checkpoints, plan.name, plan.batch_size, accelerator.num_processes)
        checkpoint = checkpoints.newest(run.checkpoints)
        step = checkpoint.step if checkpoint else 0
        if plan.unlock_after and (step + 1 >= plan.unlock_after or accelerator.num_processes > 1):
            trainable.unlock()
        self._optimizer = create_optimizer(plan, trainable.groups())
        self._rates: Any = get_scheduler(
            plan.lr_scheduler, self._optimizer, num_warmup_steps=plan.lr_warmup_steps, num_training_steps=plan.steps
        )
        if checkpoint:
            trainable.load_trained(checkpoint.network)
        self._average = self._create_average(checkpoint)
        self._module: Any = accelerator.prepare_model(trainable.module)
        self._optimizer = accelerator.prepare_optimizer(self._optimizer)
        if checkpoint:
            self._restore(checkpoint)
        if moved:
            self._note(moved)
        size = plan.batch_size * accelerator.num_processes
        self._order = Order(examples.buckets, size, plan.seed)

    @property
    def _is_main(self) -> bool:
        return self._accelerator.is_main_process

    def train(self) -> State:
        """Update the weights to the plan's last step; return how the run stands then.

        Raises TrainingError where a number is not finite, SaveError, and what a library raises where memory runs out.
        """
        plan, progress = self._plan, self.progress
        if progress.step == 0:
            self._look()
        while progress.step < plan.steps:
            if wished := self._wished():
                self._save()
                return wished
            self._give_way()
            self.update()
            step = progress.step
            if plan.probe_every and (step % plan.probe_every == 0 or step == plan.steps):
                self._look()
                if plan.patience and progress.best is not None and progress.best[0] == step:
                    self._save()  # to be exported where no later look is better
                if plan.patience and self._any(self._is_main and progress.looks_without_gain >= plan.patience):
                    self._note(
                        f"No look at the probes has been better for {plan.patience} looks, so the training stops early."
                    )
                    break
            if step % plan.checkpoint_every == 0:
                self._save()
        self._save()
        return "done"

    def end_soon(self) -> None:
        """End after the step that runs, with a checkpoint, to be resumed: for a signal."""
        self._must_end = True

    # One update

    def try_step(self) -> None:
        """Run one pass there and back, and forget its gradients: for an estimate of memory and time."""
        self._accelerator.backward(self._loss(self.progress.step * self._plan.gradient_accumulation))
        self._optimizer.zero_grad(set_to_none=True)

    def update(self) -> None:
        """Make one step: its passes, and the update of the weights. Raises TrainingError where a number is not finite."""
        plan, started = self._plan, time.monotonic()
        if plan.unlock_after and self.progress.step + 1 == plan.unlock_after:
            self._trainable.unlock()
        losses: list[Tensor] = []
        for turn in range(plan.gradient_accumulation):
            last = turn == plan.gradient_accumulation - 1
            with nullcontext() if last else self._accelerator.no_sync(self._module):
                loss = self._loss(self.progress.step * plan.gradient_accumulation + turn)
                self._accelerator.backward(loss / plan.gradient_accumulation)
            losses.append(loss.detach())
        reduced: Any = self._accelerator.reduce(torch.stack(losses).mean(), "mean")
        mean = float(reduced)
        self._require_finite("the loss", mean)
        if self.progress.step + 1 < plan.unlock_after:
            self._drop_gradients("decoder")  # before clipping: several processes have them from the first step on
        if self._accelerator.sync_gradients and plan.max_grad_norm:
            self._require_finite("the gradient", self._clip_gradients())
        rate = self._rates.get_last_lr()[0]
        self._optimizer.step()
        self._rates.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average:
            self._average.step(self._averaged_values())
        self.progress.step += 1
        seconds = time.monotonic() - started
        self._record("step", loss=mean, learning_rate=rate, seconds=round(seconds, 4), memory_mb=self._memory_mb())

    def _loss(self, number: int) -> Tensor:
        """Return the mean loss of this process's part of a pass."""
        accelerator, plan = self._accelerator, self._plan
        indices = self._order.indices(number)
        count = len(indices)
        taken = part_of_process(count, accelerator.process_index, accelerator.num_processes)
        kinds = variants(count, self._examples.variants, plan.seed, number)
        empty = emptied(count, plan.empty_prompts, plan.seed, number)
        encoded = self._examples.read(indices[taken], kinds[taken], empty[taken])
        latents, noise, timesteps = self._draw(encoded, number, count, taken)
        height, width = (side * self._trainable.base.vae_scale_factor for side in encoded.moments.shape[-2:])
        text = self._trainable.text(encoded.prompts, width, height)
        device = accelerator.device
        latents, noise, timesteps = latents.to(device), noise.to(device), timesteps.to(device)
        noisy = self._objective.add_noise(latents, noise, timesteps)
        with accelerator.autocast():
            prediction = self._module(noisy, timesteps, encoded.hints.to(device), text.states, text.added)
        return self._objective.losses(prediction, latents, noise, timesteps).mean()

    def _draw(self, encoded: Encoded, number: int, count: int, taken: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return latents, noise and timesteps; drawn for the whole pass, so that the number of processes does not matter."""
        generator = noise_generator(self._plan.seed, number)
        channels, sides = self._trainable.facts.latent_channels, encoded.moments.shape[-2:]
        shape = (count, channels, *sides)
        spread, noise = (torch.randn(shape, generator=generator)[taken] for _ in range(2))
        timesteps = self._objective.draw_timesteps(count, generator)[taken]
        return self._trainable.sample(encoded.moments, spread), noise, timesteps

    def _clip_gradients(self) -> float:
        """Scale the gradients down to `max_grad_norm`, as torch's clip_grad_norm_ does, and return their norm before.

        Where that is small enough, they are not written again, which saves a pass over memory.
        """
        most = self._plan.max_grad_norm
        values = [value for group in self._trainable.groups() for value in group["params"] if value.grad is not None]
        self._accelerator.unscale_gradients()
        norm = get_total_norm([value.grad for value in values])
        if not float(norm) + 1e-6 <= most:  # what torch adds before it divides; nan is scaled too
            clip_grads_with_norm_(values, most, norm)
        return float(norm)

    def _drop_gradients(self, name: str) -> None:
        for group in self._trainable.groups():
            if group["name"] == name:
                for value in group["params"]:
                    value.grad = None

    def _require_finite(self, what: str, value: float) -> None:
        if math.isfinite(value):
            return
        step = self.progress.step + 1
        kept = (
            f"the checkpoint of step {self._saved} is whole"
            if self._saved is not None
            else "no checkpoint was written yet"
        )
        raise TrainingError(
            f"The training stopped at step {step}, for {what} is {value:g}; {kept}. Resume it with a lower "
            f"learning_rate ({self._plan.learning_rate:g} now)"
            + (
                ", or with bfloat16 or float32 as precision"
                if self._plan.precision == "float16"
                else ", and check the data"
            )
            + f": `train resume {self._plan.name} --learning-rate {self._plan.learning_rate / 10:g}`, or Resume with changes on the page."
        )

    # Looks at the probes

    def _look(self) -> None:
        """Make the probes' pictures, note their scores, and look for the sudden convergence; without memory leave it out."""
        probes = self._probes
        if probes is not None and self._is_main:
            try:
                with self.averaged(), self._accelerator.autocast():
                    look = probes.look(self._trainable)
                self._keep(look)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                memory.release(self._accelerator.device)
                self._note(
                    "The memory was too small for the probes' pictures, so this look is left out; resume with "
                    "probe_every 0 to leave out all, or begin a new training with a smaller size."
                )
        self._accelerator.wait_for_everyone()

    def _keep(self, look: Look) -> None:
        paths: list[str] = []
        self._run.samples.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(look.pictures):
            path = self._run.samples / f"step-{self.progress.step:06d}-{number}.png"
            path.write_bytes(encode_png(picture))
            paths.append(path.relative_to(self._run.path).as_posix())
        self._record("probe", scores=list(look.scores), score=look.score, pictures=paths)
        if look.score is None:
            return
        if jump := self.progress.add_look(look.score):
            self._record("converged", at=jump.step, before=jump.before, score=jump.after)

    @contextmanager
    def averaged(self) -> Generator[None]:
        """Put the averaged weights into the network inside the block, where there are any, and stop training in it."""
        module, average = self._trainable.module, self._average
        was_training = module.training
        module.eval()
        if average:
            average.store(self._averaged_values())
            average.copy_to(self._averaged_values())
        try:
            yield
        finally:
            if average:
                average.restore(self._averaged_values())
            module.train(was_training)

    # Checkpoints

    def _create_average(self, checkpoint: Checkpoint | None) -> Any:
        if not self._plan.ema_decay:
            return None
        average: Any = EMAModel(self._averaged_values(), decay=self._plan.ema_decay)
        if checkpoint and checkpoint.average is not None:
            average.shadow_params = [
                checkpoint.average[str(n)].to(self._accelerator.device) for n in range(len(checkpoint.average))
            ]
            average.optimization_step = checkpoint.step
        return average

    def _averaged_values(self) -> list[Any]:
        return [value for group in self._trainable.groups() for value in group["params"]]

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        self._optimizer.load_state_dict(state["optimizer"])
        self._rates.load_state_dict(state["rates"])
        self._take_rates()
        if self._accelerator.scaler is not None and state.get("scaler"):
            self._accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = Progress.from_state(state["progress"])
        self._saved = checkpoint.step
        found = checkpoints.steps(self._run.checkpoints)
        if found[-1] != checkpoint.step:
            self._note(
                f"The checkpoint of step {found[-1]} is damaged, so the run goes on from step {checkpoint.step}."
            )

    def _take_rates(self) -> None:
        """Put the plan's learning rates and their course in the place of those that the checkpoint has."""
        groups, rates = self._optimizer.param_groups, self._rates
        highest = [group["lr"] for group in self._trainable.groups()]
        for group, most, course in zip(groups, highest, rates.lr_lambdas, strict=True):
            group["initial_lr"], group["lr"] = most, most * course(rates.last_epoch)
        rates.load_state_dict(rates.state_dict() | {"base_lrs": highest, "_last_lr": [group["lr"] for group in groups]})

    def _save(self) -> None:
        """Write a checkpoint where there is something new, then delete those that are no longer needed."""
        step = self.progress.step
        if not self._is_main or step == self._saved:
            return
        average = None
        if self._average:
            average = {str(number): value for number, value in enumerate(self._average.shadow_params)}
        scaler = self._accelerator.scaler
        state = {
            "optimizer": self._optimizer.state_dict(),
            "rates": self._rates.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "progress": self.progress.to_state(),
        }
        checkpoint = Checkpoint(step, self._trainable.trained_state(), average, state)
        facts = {
            "plan": plan_to_json(self._plan),
            "data": self._examples.key,
            "pairs": self._examples.pairs_key,
            "score": self._last_score(),
            "processes": self._accelerator.num_processes,
        }
        path = checkpoints.save(self._run.checkpoints, checkpoint, facts)
        self._saved = step
        best = checkpoints.best(self._run.checkpoints)
        checkpoints.remove_old(self._run.checkpoints, self._plan.keep_checkpoints, best)
        self._record("checkpoint", path=path.relative_to(self._run.path).as_posix(), best=best == step)

    def _last_score(self) -> float | None:
        looks = self.progress.looks
        return looks[-1][1] if looks and looks[-1][0] == self.progress.step else None

    # Wishes of others

    def _wished(self) -> State | None:
        """Return the state that somebody wishes the run to end in; all processes return the same."""
        if self._any(self._run.wish("stop").exists()):
            return "stopped"
        return "paused" if self._any(self._must_end or self._run.wish("pause").exists()) else None

    def _any(self, here: bool) -> bool:
        """Return whether it is so in any process; all return the same. Each must call it at the same place."""
        if self._accelerator.num_processes == 1:
            return here
        each = self._accelerator.gather(torch.tensor([here], device=self._accelerator.device))
        return bool(torch.as_tensor(each).any())

    def _give_way(self) -> None:
        """Wait while a picture is to be made; a run on several devices goes on."""
        alone = self._accelerator.num_processes == 1
        if self._plan.while_pictures == "go_on" or not alone or not self._must_wait():
            return
        self._record("state", state="waiting", message="A picture is made first.", process_id=os.getpid())
        frees = self._plan.while_pictures == "free_memory" and self._accelerator.device.type != "cpu"
        if frees:
            self._move(torch.device("cpu"))
            memory.release(self._accelerator.device)
        return_freed()
        while self._must_wait() and self._wished() is None:
            time.sleep(LOOK)
        if frees:
            self._move(self._accelerator.device)
        self._record("state", state="running", message="", process_id=os.getpid())

    def _must_wait(self) -> bool:
        try:
            age = time.time() - self._run.wish("give-way").stat().st_mtime
        except OSError:
            return False
        return age < GIVE_WAY_SECONDS

    def _move(self, device: torch.device) -> None:
        self._trainable.module.to(device)
        for state in self._optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    state[name] = value.to(device)

    # The log

    def _memory_mb(self) -> int:
        device = self._accelerator.device
        return round(memory.used_bytes(device) / 1e6)

    def _note(self, text: str) -> None:
        self._record("note", message=text)

    def _record(self, kind: RecordKind, **values: Any) -> None:
        if self._is_main:
            self._report(Record(kind=kind, step=self.progress.step, time=time.time(), values=values))
