"""A program of its own, for :mod:`.dicom`: decodes one frame with GDCM, which ends its whole process on hostile bytes.

Standard input: a line of JSON (``syntax`` and pydicom's decoding options), then the frame. Standard output: an .npy.
"""

import json
import sys

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder


def main() -> None:
    """Decode what comes in; any failure is an exit code."""
    options = json.loads(sys.stdin.buffer.readline())
    decoder = get_decoder(options.pop("syntax"))
    frame = encapsulate([sys.stdin.buffer.read()])
    values, _ = decoder.as_array(frame, index=0, decoding_plugin="gdcm", **options)
    np.save(sys.stdout.buffer, values, allow_pickle=False)


if __name__ == "__main__":
    main()
