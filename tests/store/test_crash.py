"""kill -9 while writing: what was reported committed is there, and nothing is unexplained."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from tests.store.desk import noise, opened, prove_all, reading, state

PROJECT = Path(__file__).resolve().parents[2]


def report(word, value):
    sys.stdout.write(f"{word} {value}\n")
    sys.stdout.flush()


async def write_for_ever(path):
    """Runs in the child: put, confirm, and print the stream's end after each commit."""
    async with opened(Path(path), records="1MiB", commit="10ms") as store:
        report("epoch", store.epoch)
        while True:
            drafts = [reading(f"d{n}") for n in range(random.randrange(1, 60))] + [state(noise(200))]
            await store.put(drafts)
            await store.committed()
            last = store.bounds("perception").last
            store.confirm("mqtt", "perception", last)
            report("perception", last)
            report("management", store.bounds("management").last)


def run_and_kill(path, seconds, until):
    """Run the writer, kill it at a random moment after ``until`` lines; returns what it reported."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import asyncio, tests.store.test_crash as c; asyncio.run(c.write_for_ever({str(path)!r}))",
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    reported, epoch = {}, ""
    for line in child.stdout:
        word, value = line.split()
        if word == "epoch":
            epoch = value
        else:
            reported[word] = int(value)
        until -= 1
        if until == 0:
            try:
                child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                child.kill()
            break
    for line in child.stdout:
        if line.endswith("\n") and len(words := line.split()) == 2:
            reported[words[0]] = int(words[1])
    child.wait()
    assert child.returncode == -9
    return reported, epoch


async def test_two_kills_in_the_middle_of_writing(tmp_path):
    epochs = set()
    for _ in range(2):
        reported, epoch = await asyncio.to_thread(run_and_kill, tmp_path, random.random() / 4, 60)
        epochs.add(epoch)
        async with opened(tmp_path, records="1MiB") as store:
            assert store.epoch == epoch
            for stream, last in reported.items():
                assert store.bounds(stream).last >= last
            assert 0 < store.position("mqtt", "perception") <= store.bounds("perception").last
            await prove_all(store)
    assert len(epochs) == 1


async def test_a_kill_between_a_picture_and_its_record_leaves_no_file_behind(tmp_path):
    code = (
        "import asyncio, os, pathlib\n"
        "from tests.store.desk import opened\n"
        "async def main():\n"
        f"    async with opened(pathlib.Path({str(tmp_path)!r}), commit='60s') as store:\n"
        "        await store.put_media(b'kept', 'image/jpeg', 'jpg')\n"
        "        await store.committed()\n"
        "        await store.put_media(b'lost', 'image/jpeg', 'jpg')\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert done.returncode == -9
    assert len(list((tmp_path / "media").rglob("*.jpg"))) == 2
    async with opened(tmp_path) as store:
        await store.put_media(b"next", "image/jpeg", "jpg")  # in the same thread, so after the sweep
        names = {path.read_bytes() for path in (tmp_path / "media").rglob("*.jpg")}
        assert names == {b"kept", b"next"}
