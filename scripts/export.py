"""Export searched chains to training data: InternVL records in stages, pairs, process rewards, chat, a hub folder."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, and its programs would stand for packages of the same name.
    sys.path.pop(0)

from train.commands import run_export

if __name__ == "__main__":
    sys.exit(run_export(sys.argv[1:]))
