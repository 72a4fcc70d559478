"""A process that opens a shard with one byte after the other changed, each under the name that its bytes then have.

    python -m tests.faults.flipping FOLDER FIRST STEP

FOLDER holds `shard` and what is written down here. Each change's number is said before it is tried, so that the last
one is known when the process dies of it; behind it what is odd: an error that is no sentence, arrays that do not fit.
"""

import hashlib
import resource
import signal
import sys
from pathlib import Path

from data.errors import BadData, StoreDamaged
from featurestore import Shard
from tests.featurestore.made import ALL_KEPT

# a flip of one bit, and of all
MASKS = (1, 2, 4, 8, 16, 32, 64, 128, 255)
SECONDS = 10
BYTES = 256 * 2**20


def changed(data: bytes, number: int) -> bytes:
    """The shard with change `number`, of which there are len(MASKS) a byte."""
    place, mask = divmod(number, len(MASKS))
    return data[:place] + bytes([data[place] ^ MASKS[mask]]) + data[place + 1 :]


def oddity(folder: Path, data: bytes) -> str:
    """What is wrong with how it is read; nothing where it is refused in a sentence, or is a shard."""
    path = folder / f"{hashlib.sha256(data).hexdigest()}.h5"
    path.write_bytes(data)
    try:
        bags = Shard.open(path, ALL_KEPT).bags()
        for name, ragged in bags.views.items():
            values, offsets = ragged.gather()
            if len(values) != offsets[-1] or len(offsets) != len(bags) + 1:
                return f"{name} has {len(values)} items of {len(bags)} documents, cut at {offsets}"
    except (StoreDamaged, BadData) as error:
        return "" if str(error).endswith(".") else str(error)
    except Exception as error:
        return repr(error)
    finally:
        path.unlink()
    return ""


def main() -> None:
    """Try every STEP-th change from FIRST on."""
    folder, first, step = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    data = (folder / "shard").read_bytes()
    oddity(folder, data)  # loads all that is needed, so that the limit is one on what a shard takes
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, taken + BYTES))
    for number in range(first, len(data) * len(MASKS), step):
        print(number, end=" ", flush=True)  # noqa: T201 - the answer
        signal.alarm(SECONDS)  # which ends the process
        print(oddity(folder, changed(data, number)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
