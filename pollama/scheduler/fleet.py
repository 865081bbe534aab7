"""All loads that take memory now, and what belongs together among them."""

from __future__ import annotations

from collections.abc import Iterator

from pollama.scheduler.state import ModelKey, Replica, Target


class Fleet:
    """Replicas by their number, which is never used twice."""

    def __init__(self) -> None:
        self._by_number: dict[int, Replica] = {}
        self._loads = 0

    def __iter__(self) -> Iterator[Replica]:
        return iter(tuple(self._by_number.values()))

    def __contains__(self, replica: object) -> bool:
        return any(replica is other for other in self._by_number.values())

    def __len__(self) -> int:
        return len(self._by_number)

    def __getitem__(self, number: int) -> Replica:
        return self._by_number[number]

    def get(self, number: int | None) -> Replica | None:
        """Return a replica, None when it is gone."""
        return None if number is None else self._by_number.get(number)

    def next_number(self) -> int:
        """Return the number of the next load."""
        self._loads += 1
        return self._loads

    def add(self, replica: Replica) -> None:
        """Take in a replica that begins to load."""
        self._by_number[replica.id] = replica

    def pop(self, number: int) -> Replica | None:
        """Take out a replica that is gone; None when it was taken out before."""
        return self._by_number.pop(number, None)

    def group(self, replica: Replica) -> list[Replica]:
        """Return the replicas of the same load that stay, this one included as long as it is there."""
        return [other for other in self if other.target == replica.target and other.stays]

    def of(self, key: ModelKey) -> list[Replica]:
        """Return all replicas of a model, whatever its options."""
        return [replica for replica in self if replica.key == key]

    def leads(self) -> list[Replica]:
        """Return one ready replica of each load that stays."""
        return list({replica.target: replica for replica in self if replica.serves_on}.values())

    def ready(self) -> list[Replica]:
        """Return those that are ready."""
        return [replica for replica in self if replica.state == "ready"]

    def mapped_bytes(self) -> int:
        """Return the bytes of weights that are mapped from disk."""
        return sum(_mapped_bytes(replica) for replica in self)


def by_target(replicas: list[Replica]) -> list[list[Replica]]:
    """Return replicas that are the same load together."""
    groups: dict[Target, list[Replica]] = {}
    for replica in replicas:
        groups.setdefault(replica.target, []).append(replica)
    return list(groups.values())


def _mapped_bytes(replica: Replica) -> int:
    spec = replica.model.stored.spec
    return spec.file_bytes if spec is not None and replica.options.use_mmap else 0
