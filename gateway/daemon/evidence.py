"""Follows the store and adds a signed link for every record with media; hands out bundles, and says who took them."""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.commands.diagnosis import Problem
from gateway.contract import Clock, CommandError, Draft, Stream, record_id
from gateway.store import Store
from gateway.store.bundle import FORMAT, LINKS, MANIFEST, RECORDS, Entry, File, Manifest
from gateway.store.chain import FOLDER, Chain, EvidenceError, Link, media_of, peek
from gateway.store.held import Held, NoRoomError

STREAM: Stream = "perception"  # where records with media stand
AT_ONCE = 500
BYTES = 1 << 20
FACT = "evidence/scanned"
REMEMBER_EVERY = 20_000  # records without media after which the place is noted down
WAIT = 60.0
RETRY = 30.0
MOST = 25  # records in one bundle
NOTHING_KEPT: Mapping[str, Path] = {}
LONGEST_CHAIN = 20_000  # links in one bundle: more than that lies between records that are better taken out apart

log = logging.getLogger("linli.evidence")


class Evidence:
    """The chain of this gateway, opened by ``run``; it is behind the store and never in its way."""

    def __init__(self, gateway: str, state: Path, store: Store, clock: Clock, hold: int = 1 << 30) -> None:
        """``hold``: bytes that may be under a legal hold together."""
        self._gateway, self._folder, self._store, self._clock = gateway, state / FOLDER, store, clock
        self._held = Held(self._folder, hold)
        self._chain: Chain | None = None
        self._failing = ""
        self._since = 0
        self._scanned = 0
        self._noted = 0

    def view(self) -> dict[str, Any]:
        """What status shows: the public key (Ed25519, hexadecimal), links so far, and the hash of the last one."""
        chain = self._chain
        if chain is None:
            return {"public_key": None, "links": 0, "head": None, "failing": self._failing or None}
        links = chain.last.number if chain.last else 0
        return {
            "public_key": chain.signer.public,
            "links": links,
            "head": chain.head if links else None,
            "failing": self._failing or None,
        }

    def problems(self) -> list[Problem]:
        """One sentence while no links can be written."""
        if not self._failing:
            return []
        since = self._clock.rfc3339(self._since)
        fix = "records are kept all the same; what is missing is signed as soon as it can be"
        return [Problem(part="evidence", severity="major", text=self._failing, since=since, fix=fix)]

    async def run(self) -> None:
        """Follow the store for ever."""
        recovered = False
        while True:
            try:
                if not recovered:
                    await asyncio.to_thread(self._held.recover)
                    recovered = True
                if self._chain is None:
                    self._chain = await asyncio.to_thread(Chain, self._folder)
                    self._scanned = self._noted = self._place(self._chain.last)
                    log.info("evidence is signed by the key %s", self._chain.signer.public)
                await self._catch_up(self._chain)
                self._become("")
                await self._store.wait(STREAM, {STREAM: self._scanned}, WAIT)
            except (EvidenceError, OSError, CommandError) as error:
                self._become(f"evidence cannot be signed: {error}")
                self._chain = None
                await self._clock.sleep(RETRY)

    def _become(self, failing: str) -> None:
        if failing != self._failing:
            self._failing, self._since = failing, self._clock.wall()
            log.log(logging.ERROR if failing else logging.INFO, "%s", failing or "evidence is signed again")

    def _place(self, last: Link | None) -> int:
        """The last record that was looked at, in this epoch of the store."""
        sequence = last.sequence if last and (last.epoch, last.stream) == (self._store.epoch, STREAM) else 0
        saved = self._store.facts(FACT).get(FACT, b"").decode(errors="replace").split()
        if len(saved) == 2 and saved[0] == self._store.epoch and saved[1].isdecimal():
            sequence = max(sequence, int(saved[1]))
        return min(sequence, self._store.bounds(STREAM).last)

    async def _catch_up(self, chain: Chain) -> None:
        while records := await self._store.records(STREAM, self._scanned, AT_ONCE, BYTES):
            found = [one for record in records if (one := media_of(record.json)) is not None]
            if found:
                await asyncio.to_thread(chain.append, found)
            self._scanned = records[-1].sequence
            if found:
                self._noted = self._scanned
            elif self._scanned - self._noted >= REMEMBER_EVERY:
                self._noted = self._scanned
                await self._store.put([], facts={FACT: f"{self._store.epoch} {self._scanned}".encode()})

    # ------------------------------------------------------------------------------------------------------ bundles

    async def answer(self, what: str, records: Sequence[str], reason: str, actor: str) -> dict[str, Any]:
        """``export``, ``hold``, ``release`` or ``held``; CommandError when that is impossible.

        The reason stays on record for long: it must not name the plate that these records do.
        """
        if what == "held":
            return {"cases": [case._asdict() for case in await asyncio.to_thread(self._held.cases)]}
        if len(reason.strip()) < 2:
            raise CommandError("say why: --reason")
        if not 1 <= len(records) <= MOST:
            raise CommandError(f"name from 1 to {MOST} records")
        records = list(dict.fromkeys(records))
        doing = {"export": self._export, "hold": self._hold, "release": self._release}.get(what)
        if doing is None:
            raise CommandError(f"nobody knows how to {what[:40]} evidence: export, hold, release or held")
        return await doing(records, reason, actor)

    async def _export(self, records: Sequence[str], reason: str, actor: str) -> dict[str, Any]:
        """Make everything of a bundle but its files, and record who took it."""
        manifest, chain, jsons = await self._bundle(records, reason, actor)
        _refuse_plates(reason, jsons.values())
        files = [f"{file.sha256}.{file.suffix}" for entry in manifest.records for file in entry.media if file.suffix]
        about = {
            "what": "export",
            "records": {STREAM: len(manifest.records)},
            "files": len(files),
            "ids": [entry.id for entry in manifest.records],
            "sha256": hashlib.sha256(msgspec.json.encode(manifest)).hexdigest(),
        }
        await self._record("accessed", {"by": actor, "reason": reason, **about})
        return {"manifest": self._sealed(manifest), "chain": chain, "records": jsons, "media": files}

    async def _hold(self, records: Sequence[str], reason: str, actor: str) -> dict[str, Any]:
        """Keep a bundle of each record, with its files, until it is released."""
        bundles = []
        for record in records:
            kept = await asyncio.to_thread(self._held.media, record)
            bundles.append((record, kept, *await self._bundle([record], reason, actor, kept)))
        for *_, jsons in bundles:
            _refuse_plates(reason, jsons.values())
        size = 0
        for record, kept, manifest, chain, jsons in bundles:
            files = {f"{RECORDS}/{name}.json": text.encode() for name, text in jsons.items()}
            files |= {MANIFEST: self._sealed(manifest).encode(), LINKS: "".join(f"{line}\n" for line in chain).encode()}
            named = (file.sha256 for entry in manifest.records for file in entry.media)
            there = [path for sha256 in named if (path := self._path(sha256, kept)) is not None]
            try:
                size += await asyncio.to_thread(self._held.keep, record, files, {path.name: path for path in there})
            except NoRoomError as error:
                raise CommandError(str(error), 409) from error
            except OSError as error:
                raise CommandError(f"the disk does not take what is to be held: {error.strerror}", 503) from error
        await self._record("held", {"by": actor, "reason": reason, "what": "hold", "ids": list(records), "bytes": size})
        return {"held": list(records), "bytes": size}

    async def _release(self, records: Sequence[str], reason: str, actor: str) -> dict[str, Any]:
        """Let go of what is held: from now on it goes by its age."""
        known = {case.record for case in await asyncio.to_thread(self._held.cases)}
        for record in records:
            if record not in known:
                raise CommandError(f"record {record[:80]} is not held", 404)
        try:
            for record in records:
                _refuse_plates(reason, await asyncio.to_thread(self._held.texts, record))
            size = sum([await asyncio.to_thread(self._held.release, record) for record in records])
        except OSError as error:
            raise CommandError(f"the disk does not delete what was held: {error.strerror}", 503) from error
        except KeyError as error:
            raise CommandError(f"record {error.args[0]} was released by somebody else meanwhile", 409) from error
        about = {"what": "release", "ids": list(records), "bytes": size}
        await self._record("held", {"by": actor, "reason": reason, **about})
        return {"released": list(records), "bytes": size}

    async def _bundle(
        self, records: Sequence[str], reason: str, actor: str, kept: Mapping[str, Path] = NOTHING_KEPT
    ) -> tuple[Manifest, list[str], dict[str, str]]:
        """A manifest, the chain's lines from the first to the last record, and the records' JSON by id.

        ``kept``: files, by SHA-256, that are held already and may be gone from the store.
        """
        chain = self._chain
        if chain is None:
            raise CommandError(self._failing or "the evidence is being opened; try again", 503)
        lines = await asyncio.to_thread(chain.around, records)
        if len(lines) > LONGEST_CHAIN:
            raise CommandError(f"{len(lines)} links lie between these records; take them out in several bundles")
        chosen = [link for link in map(peek, lines) if link.record in records or link.of in records]
        known = {link.record for link in chosen} | {link.of for link in chosen}
        for record in records:
            if record not in known:
                raise CommandError(
                    f"no link for record {record[:80]}: it has no picture or clip, it was never here, or it is too new "
                    "(wait a second)",
                    404,
                )
        entries, jsons = [], {}
        for link in chosen:
            jsons[link.record] = (await self._json(link)).decode()
            entries.append(Entry(link.record, link.number, tuple(self._file(sha256, kept) for sha256 in link.media)))
        head = hashlib.sha256(lines[-1]).hexdigest()
        stamp = self._clock.rfc3339(self._clock.wall())
        manifest = Manifest(FORMAT, self._gateway, chain.signer.public, stamp, actor, reason, tuple(entries), head)
        return manifest, [line.decode() for line in lines], jsons

    def _sealed(self, manifest: Manifest) -> str:
        if self._chain is None:
            raise CommandError(self._failing or "the evidence is being opened; try again", 503)
        return self._chain.signer.seal(manifest).decode()

    def _path(self, sha256: str, kept: Mapping[str, Path]) -> Path | None:
        found = self._store.media(sha256)
        return found[0] if found is not None else kept.get(sha256)

    def _file(self, sha256: str, kept: Mapping[str, Path]) -> File:
        path = self._path(sha256, kept)
        return File(sha256, path.suffix[1:]) if path is not None else File(sha256, "", missing=True)

    async def _json(self, link: Link) -> bytes:
        if link.epoch == self._store.epoch:
            for record in await self._store.records(STREAM, link.sequence - 1, 1):
                if record.sequence == link.sequence:
                    return record.json
        place = self._held.place(link.of or link.record)
        held = f"; it is held, whole, in {place}" if await asyncio.to_thread(place.is_dir) else ""
        raise CommandError(
            f"record {link.record} is no longer here: its time to be kept is over, or it was erased{held}", 410
        )

    async def _record(self, what: str, data: dict[str, Any]) -> None:
        """What is done with evidence is itself recorded (Order 799 of the State Council regulates its retrieval)."""
        now = self._clock.wall()
        draft = Draft("disposal", f"linli.disposal.{what}.v1", "", "evidence", now, data, record_id(now))
        await self._store.put([draft], urgent=True)


def _refuse_plates(reason: str, records: Iterable[str]) -> None:
    """CommandError when a reason says the plate of a record, however it is spelled."""
    from gateway.commands.personal import says  # asked for a few times a year

    for text in records:
        plate = (msgspec.json.decode(text)["data"].get("plate") or {}).get("text")
        if plate and says(reason, plate):
            raise CommandError("the reason names the plate, but it stays on record for long: say it without")
