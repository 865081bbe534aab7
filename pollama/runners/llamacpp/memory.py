"""The KV memory of a context, divided into slots: who holds which tokens, sharing, room and moves."""

from __future__ import annotations

import itertools

from pollama.native.batch import Batch
from pollama.native.context import Context
from pollama.runners.llamacpp.cache import Slot, adjacent_slots, before_media, best_donor, last_begin, oldest_idle
from pollama.runners.llamacpp.cells import CellLedger, cells_per_position
from pollama.runners.llamacpp.shift import Discard

_WORTH_COPYING = 16
"""Tokens below which a prefix is computed again rather than copied with its whole stream."""


class KvMemory:
    """Slots over a context. Knows what the memory of this model can do and never asks for more.

    ``trims``: a part of a sequence can be dropped (not so for recurrent memory). All calls come from one thread.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shared = context.settings.shared_cells
        self._window = context.model.window
        self._clock = itertools.count(1)
        self._ledger = CellLedger()
        self._unsettled: set[int] = set()
        self.slots = [Slot(index) for index in range(context.sequences)]
        self.trims = self._probe_trim()

    @property
    def cells_used(self) -> int:
        """Cells that hold something, cached prefixes included."""
        return self._ledger.used

    @property
    def cells_free_of_running(self) -> int:
        """Cells that no running sequence uses."""
        return self._context.cells - self._ledger.used_by({slot.index for slot in self.slots if slot.running})

    @property
    def cached_tokens(self) -> int:
        """Tokens of idle slots, for the next prompt that begins like them."""
        return sum(slot.reusable for slot in self.slots if not slot.running)

    @property
    def shared(self) -> bool:
        """Tell whether all sequences draw on the same cells."""
        return self._shared

    def _probe_trim(self) -> bool:
        """Try on two tokens whether the memory drops a part; also warms the engine up."""
        batch = Batch(2)
        batch.add(0, [0, 0], 0, output=True)
        self._context.decode(batch)
        self._context.synchronise()
        trims = self._context.remove(0, 1)
        self._context.clear()
        return trims

    # -- taking and giving back -------------------------------------------------------------------

    def acquire(self, tokens: list[int]) -> Slot:
        """Return a running slot whose memory holds the longest known proper prefix of ``tokens``."""
        return self._occupied(self._acquire_prefix(tokens) or self._acquire_empty())

    def acquire_blank(self) -> Slot:
        """Return an empty running slot."""
        return self._occupied(self._acquire_empty())

    def _occupied(self, slot: Slot) -> Slot:
        slot.running = True
        slot.last_use = next(self._clock)
        return slot

    def _acquire_prefix(self, tokens: list[int]) -> Slot | None:
        donor = best_donor(self.slots, tokens, whole=not self.trims)
        if donor is None or not self._covers_window(donor.slot, donor.length):
            return None
        if not self.trims:
            return donor.slot
        if self._shared:
            return self._share(donor.slot, donor.length)
        return self._take_stream(donor.slot, donor.length)

    def _covers_window(self, slot: Slot, length: int) -> bool:
        """Tell whether sliding-window layers still hold what a continuation at ``length`` looks at."""
        if not self._window or length == len(slot.tokens):
            return True
        return self._context.first_position(slot.index) <= max(0, length - self._window)

    def _share(self, donor: Slot, length: int) -> Slot | None:
        target = oldest_idle(slot for slot in self.slots if slot is not donor)
        if target is None or (target.tokens and not donor.running and target.last_use > donor.last_use):
            target = donor
        if target is donor:
            return donor if not donor.running and self._trim(donor, length) else None
        self._forget(target)
        self._context.copy(donor.index, target.index, length)
        self._ledger.share(donor.index, target.index, length)
        target.tokens = donor.tokens[:length]
        target.pure = donor.pure if donor.pure is not None and donor.pure < length else None
        return target

    def _take_stream(self, donor: Slot, length: int) -> Slot | None:
        candidates = adjacent_slots(self.slots)
        target = oldest_idle(candidates)
        if donor in candidates and (donor is target or length > len(donor.tokens) // 2):
            return donor if self._trim(donor, length) else None
        if target is None or length < _WORTH_COPYING:
            return None
        self._copy_stream(donor, target)
        return target if self._trim(target, length) else None

    def _copy_stream(self, source: Slot, target: Slot) -> None:
        """Copy a whole stream; the data moves at the next decode, until then neither may be exported."""
        self._forget(target)
        self._context.copy(source.index, target.index)
        self._ledger.extend(target.index, cells_per_position(source.tokens))
        target.tokens, target.pure = list(source.tokens), source.pure
        self._unsettled |= {source.index, target.index}

    def _acquire_empty(self) -> Slot:
        candidates = self.slots if self._shared else adjacent_slots(self.slots)
        slot = oldest_idle(candidates) or oldest_idle(self.slots)
        if slot is None:
            raise RuntimeError("more sequences than slots")
        self._forget(slot)
        return slot

    def release(self, slot: Slot, *, keep: bool) -> None:
        """Give a slot back; with ``keep`` its tokens stay for prompts that begin like them."""
        slot.running = False
        slot.last_use = next(self._clock)
        if not keep or (slot.pure is not None and not self._trim(slot, slot.pure)):
            self._forget(slot)
            return
        for other in self.slots:
            if other is not slot and not other.running and self._is_part(other, slot):
                self._forget(other)

    def _is_part(self, part: Slot, whole: Slot) -> bool:
        return bool(part.tokens) and part.tokens == whole.tokens[: len(part.tokens)] and self.trims

    def evict_oldest(self) -> bool:
        """Forget the least recently used cached prefix; False when there is none."""
        slot = oldest_idle(slot for slot in self.slots if slot.tokens)
        if slot is None:
            return False
        self._forget(slot)
        return True

    def _forget(self, slot: Slot) -> None:
        self._context.remove(slot.index)
        self._ledger.drop(slot.index)
        slot.tokens, slot.pure = [], None

    # -- what a running sequence does ---------------------------------------------------------------

    def extend(self, slot: Slot, tokens: list[int]) -> None:
        """Note that ``tokens`` were computed behind what the slot holds."""
        slot.tokens.extend(tokens)
        self._ledger.extend(slot.index, cells_per_position(tokens))

    def settled(self) -> None:
        """Note that a decode ran: copies and shifts that were waiting for it are done."""
        self._unsettled.clear()

    def _trim(self, slot: Slot, length: int) -> bool:
        """Drop everything behind ``length``; False (and nothing done) where the memory cannot."""
        if length == len(slot.tokens):
            return True
        if not self._context.remove(slot.index, length):
            return False
        self._ledger.drop(slot.index, length)
        del slot.tokens[length:]
        slot.pure = None if slot.pure is None or slot.pure >= length else slot.pure
        return True

    def resynchronise(self, slot: Slot) -> None:
        """After a failed decode: agree with the engine about what a slot holds, nothing that is in doubt."""
        held, known = self._context.last_position(slot.index) + 1, len(slot.tokens)
        if held > known:
            agreed = self._context.remove(slot.index, known)
        else:
            agreed = self._holds(slot, slot.tokens) or self._trim(slot, before_media(slot.tokens, held))
        if not agreed:
            self._forget(slot)

    def _holds(self, slot: Slot, tokens: list[int]) -> bool:
        """Tell whether the engine's last position of a slot is that of ``tokens``.

        With M-RoPE the engine counts all of an image at the position where it begins.
        """
        last = self._context.last_position(slot.index)
        return last_begin(tokens) <= last < len(tokens) if tokens else last < 0

    def shift(self, slot: Slot, gone: Discard) -> bool:
        """Drop positions and move the rest down; False where the memory cannot: compute the sequence again."""
        if not (self._context.can_shift and self.trims):
            return False
        if not self._context.remove(slot.index, gone.start, gone.end):
            return False
        self._context.shift(slot.index, gone.end, len(slot.tokens), -gone.count)
        self._ledger.drop(slot.index, gone.start, gone.end)
        del slot.tokens[gone.start : gone.end]
        slot.pure = gone.start if slot.pure is None else min(slot.pure, gone.start)
        self._unsettled.add(slot.index)
        return True

    def clear(self, slot: Slot) -> None:
        """Empty a running slot, to compute its sequence again."""
        self._forget(slot)

    # -- moving sequences ---------------------------------------------------------------------------

    def export(self, slot: Slot) -> bytes | None:
        """Return the memory of a slot, or None where it cannot be exported now."""
        if slot.index in self._unsettled or not slot.tokens:
            return None
        return self._context.export_sequence(slot.index) or None

    def adopt(self, data: bytes, tokens: list[int], pure: int | None) -> bool:
        """Keep exported memory as a cached prefix, for a sequence that goes on here; False where that fails."""
        if all(slot.running for slot in self.slots):
            return False
        slot = self._acquire_empty()
        slot.last_use = next(self._clock)
        return self.restore(slot, data, tokens, pure)

    def restore(self, slot: Slot, data: bytes, tokens: list[int], pure: int | None = None) -> bool:
        """Fill an empty slot with exported memory that holds ``tokens``, giving up cached prefixes while cells lack.

        False (memory of another kind, or no room at all) leaves it empty.
        """
        if slot.index in self._unsettled:
            return False
        while not self._context.import_sequence(slot.index, data):
            if not self._lacks_cells(sum(cells_per_position(tokens))) or not self.evict_oldest():
                return False
        if not self._holds(slot, tokens):
            self._forget(slot)
            return False
        self.extend(slot, tokens)
        slot.pure = pure
        return True

    def _lacks_cells(self, count: int) -> bool:
        return self._shared and self._context.cells - self._ledger.used < count

    def close_gap(self) -> tuple[Slot, Slot] | None:
        """Without shared cells, move the highest running slot into a hole between running ones.

        Returns (from, to); the caller's sequence goes on in the second. What the hole had cached moves to the least
        recently used idle slot. None where nothing is to be done.
        """
        if self._shared:
            return None
        running = [slot for slot in self.slots if slot.running]
        holes = [slot for slot in self.slots[: running[-1].index] if not slot.running] if running else []
        holes = [slot for slot in holes if slot.index > running[0].index]
        if not holes:
            return None
        hole, last = holes[0], running[-1]
        refuge = oldest_idle(slot for slot in self.slots if slot is not hole)
        if hole.tokens and refuge is not None and (not refuge.tokens or refuge.last_use < hole.last_use):
            age = hole.last_use
            self._copy_stream(hole, refuge)
            refuge.last_use = age
        self._copy_stream(last, hole)
        hole.running, last.running, last.last_use = True, False, 0
        return last, hole
