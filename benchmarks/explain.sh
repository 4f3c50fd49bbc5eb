#!/bin/sh
# Pictures and overlaps of docs/explain.md on the pets: a run of examples/pets.yaml, 40 of its test images.
#   sh benchmarks/explain.sh RUN OUT
# Writes OUT/gradcam, OUT/hirescam and OUT/integrated, each with explain.html, explain.json and pictures/.
set -e
run=$1
out=$2
images=$(python - "$run" <<'PYTHON'
import sys
from pathlib import Path
from oneglance.manifest import Manifest

manifest = Manifest.read(Path(sys.argv[1]) / "manifest.arrow")
rows = manifest.rows(split="test")
print(*manifest.select(rows[:: max(1, len(rows) // 40)][:40]).values("path"), sep="\n")
PYTHON
)
for method in gradcam hirescam integrated; do
    oneglance explain "$run" $images --method $method --about outline=pet --out "$out/$method"
done
