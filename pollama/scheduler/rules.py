"""What holds for one model and one request: rules for the model, wishes of the request, settings for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pollama.scheduler.costs import EXPECTED_CLIENTS, Demand
from pollama.scheduler.fitting import Space
from pollama.scheduler.policy import Policy
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.multigpu import Algorithm, ModelRule, Profile, Strategy, Wish
from pollama.types.options import Options

_OPTIONS: Final = {"num_ctx": "num_ctx", "num_batch": "num_batch", "threads": "num_thread"}
"""Settings of a rule, and the options that they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a layout has to be like. ``devices`` None: any; ``replicas`` and sizes 0: as the planner finds best."""

    strategy: Strategy = "auto"
    devices: tuple[str, ...] | None = None
    profile: Profile = "balanced"
    algorithm: Algorithm = "performance_aware"
    replicas: int = 0
    tensor_size: int = 0
    pipeline_size: int = 0

    def allows(self, device: Device) -> bool:
        """Tell whether blocks may go to a device."""
        return self.devices is None or device.id in self.devices or device.name in self.devices

    def unknown(self, spaces: Sequence[Space]) -> list[str]:
        """Return the devices that were named and do not exist."""
        there = {name for space in spaces for name in (space.device.id, space.device.name)}
        return [name for name in self.devices or () if name not in there]

    def demand(self, devices: int) -> Demand:
        """Return the load to plan for: one client for latency, full devices for throughput."""
        clients = {"latency": 1, "throughput": EXPECTED_CLIENTS * max(1, devices)}
        return Demand(clients=clients.get(self.profile, EXPECTED_CLIENTS))


def rule_of(model: Model, policy: Policy) -> ModelRule:
    """Return the rule for a model by its short name, of which ``:latest`` may be left out."""
    rules = policy.multi_gpu.rules
    name = model.stored.short_name
    return rules.get(name) or rules.get(name.removesuffix(":latest")) or ModelRule()


def asked(model: Model, policy: Policy, wish: Wish) -> Asked:
    """Return what holds: the request before the rule for the model, and that before the settings for all.

    A request may narrow the devices of a rule, not widen them.
    """
    rule, settings = rule_of(model, policy), policy.multi_gpu
    if not settings.enabled:
        return Asked(algorithm="memory_only")
    devices = wish.devices
    if rule.devices:
        devices = rule.devices if devices is None else tuple(name for name in devices if name in rule.devices)
    strategy = wish.strategy if wish.strategy != "auto" else rule.strategy or settings.strategy
    return Asked(
        strategy=strategy,
        devices=devices,
        profile=wish.profile,
        algorithm=settings.algorithm,
        replicas=rule.replicas or settings.replicas,
        tensor_size=settings.tensor_size,
        pipeline_size=settings.pipeline_size,
    )


def ruled_options(model: Model, options: Options, policy: Policy) -> Options:
    """Return the options with what the rule for the model says, unless the request itself has said otherwise."""
    rule = rule_of(model, policy) if policy.multi_gpu.enabled else ModelRule()
    values = {option: getattr(rule, key) for key, option in _OPTIONS.items() if getattr(rule, key) is not None}
    parameters = model.stored.parameters
    return options.updated(
        {
            name: value
            for name, value in values.items()
            if name not in options.explicit or getattr(options, name) == parameters.get(name)
        }
    )


def ruled_wish(wish: Wish, devices: Sequence[Device], policy: Policy) -> Wish:
    """Return a wish as it counts: none without several devices, and with ids in the place of names and numbers.

    Numbers count the GPUs, without GPUs the CPU devices. What is unknown stays, for the refusal.
    """
    if not policy.multi_gpu.enabled:
        return Wish()
    if wish.devices is None:
        return wish
    counted = [device for device in devices if device.is_gpu] or devices
    ids = {str(number): device.id for number, device in enumerate(counted)}
    ids |= {device.name: device.id for device in devices} | {device.id: device.id for device in devices}
    return replace(wish, devices=tuple(sorted({ids.get(name, name) for name in wish.devices})))


def ruled_policy(model: Model, policy: Policy) -> Policy:
    """Return the policy with the number of sequences that the rule for the model says."""
    slots = rule_of(model, policy).slots if policy.multi_gpu.enabled else None
    return policy if slots is None else replace(policy, num_parallel=slots)
