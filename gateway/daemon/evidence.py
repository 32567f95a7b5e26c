"""Follows the store and adds a signed link for every record with media; hands out bundles, and says who took them."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.commands.diagnosis import Problem
from gateway.contract import Clock, CommandError, Draft, Stream, record_id
from gateway.store import Store
from gateway.store.bundle import FORMAT, Entry, File, Manifest
from gateway.store.chain import FOLDER, Chain, EvidenceError, Link, media_of, peek

STREAM: Stream = "perception"  # where records with media stand
AT_ONCE = 500
BYTES = 1 << 20
FACT = "evidence/scanned"
REMEMBER_EVERY = 20_000  # records without media after which the place is noted down
WAIT = 60.0
RETRY = 30.0
MOST = 25  # records in one bundle
LONGEST_CHAIN = 20_000  # links in one bundle: more than that lies between records that are better taken out apart

log = logging.getLogger("linli.evidence")


class Evidence:
    """The chain of this gateway, opened by ``run``; it is behind the store and never in its way."""

    def __init__(self, gateway: str, state: Path, store: Store, clock: Clock) -> None:
        self._gateway, self._folder, self._store, self._clock = gateway, state / FOLDER, store, clock
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
        while True:
            try:
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

    async def export(self, records: Sequence[str], reason: str, actor: str) -> dict[str, Any]:
        """Make everything of a bundle but its files, and record who took it; CommandError when that is impossible."""
        chain = self._chain
        if chain is None:
            raise CommandError(self._failing or "the evidence is being opened; try again", 503)
        if not 1 <= len(records) <= MOST:
            raise CommandError(f"name from 1 to {MOST} records")
        if len(reason.strip()) < 2:
            raise CommandError("say why the evidence is taken out: reason")
        lines = await asyncio.to_thread(chain.around, records)
        if len(lines) > LONGEST_CHAIN:
            raise CommandError(f"{len(lines)} links lie between these records; take them out in several bundles")
        chosen = [link for link in map(peek, lines) if link.record in records or link.of in records]
        known = {link.record for link in chosen}
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
            entries.append(Entry(link.record, link.number, tuple(self._file(sha256) for sha256 in link.media)))
        head = hashlib.sha256(lines[-1]).hexdigest()
        stamp = self._clock.rfc3339(self._clock.wall())
        manifest = Manifest(FORMAT, self._gateway, chain.signer.public, stamp, actor, reason, tuple(entries), head)
        await self._record(manifest)
        return {
            "manifest": chain.signer.seal(manifest).decode(),
            "chain": [line.decode() for line in lines],
            "records": jsons,
            "media": [f"{file.sha256}.{file.suffix}" for entry in entries for file in entry.media if not file.missing],
        }

    def _file(self, sha256: str) -> File:
        found = self._store.media(sha256)
        return File(sha256, found[0].suffix[1:]) if found else File(sha256, "", missing=True)

    async def _json(self, link: Link) -> bytes:
        if link.epoch == self._store.epoch:
            for record in await self._store.records(STREAM, link.sequence - 1, 1):
                if record.sequence == link.sequence:
                    return record.json
        raise CommandError(
            f"record {link.record} is no longer here: its time to be kept is over, or it was erased", 410
        )

    async def _record(self, manifest: Manifest) -> None:
        """Copying evidence is itself recorded (Order 799 of the State Council regulates its viewing and retrieval)."""
        now = self._clock.wall()
        data = {
            "by": manifest.by,
            "reason": manifest.reason,
            "what": "export",
            "records": {STREAM: len(manifest.records)},
            "files": sum(not file.missing for entry in manifest.records for file in entry.media),
            "ids": [entry.id for entry in manifest.records],
            "sha256": hashlib.sha256(msgspec.json.encode(manifest)).hexdigest(),
        }
        draft = Draft("disposal", "linli.disposal.accessed.v1", "", "evidence", now, data, record_id(now))
        await self._store.put([draft], urgent=True)
