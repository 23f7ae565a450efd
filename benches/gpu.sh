#!/usr/bin/env bash
# The whole GPU check, on a machine that need not have Rust.
#
#   benches/gpu.sh pack [FOLDER]        where Rust is: builds the programs into FOLDER (target/gpu)
#   benches/gpu.sh run [FOLDER] STEP... where the GPU is, in the root of the package, with FOLDER there:
#
# DEVICE=cpu runs the same steps where there is no card: the kernels' sources on the host, the benches
# on the processor (QUICK=1: with small sizes), and says which steps need a card.
#
#     info      the card, and `cytograd devices` with its self-check
#     kernels   every kernel test on the card: the reference's bits
#     runs      whole training runs and recorded steps on the card: the CPU's bits
#     memcheck  compute-sanitizer memcheck over the kernel tests of $FAMILIES (default: all)
#     racecheck the same with racecheck
#     bench     cytograd bench --counterparts --device $DEVICE
#     torch     the PyTorch counterparts (benches/torch_counterparts.py)
#     table     both side by side, for benches/RESULTS.md
#
# Without STEP: all of them. Logs and tables go to $OUT (default: FOLDER/out). A step that fails does
# not stop the others; the exit code says how many failed.
set -uo pipefail

mode=${1:-}
shift || true
folder=${CYTOGRAD_GPU:-target/gpu}
if [ $# -gt 0 ] && [[ $1 == */* ]]; then
    folder=$1
    shift
fi

pack() {
    set -e
    mkdir -p "$folder"
    cargo build --release --bin cytograd
    cp "${CARGO_TARGET_DIR:-target}/release/cytograd" "$folder/cytograd"
    for test in kernels training recording; do
        built=$(cargo test --release --no-run --test "$test" --message-format=json 2>/dev/null |
            grep -o '"executable":"[^"]*"' | tail -1 | cut -d'"' -f4)
        cp "$built" "$folder/test-$test"
    done
    strip "$folder"/test-* 2>/dev/null || true
    du -sh "$folder"
}

out=${OUT:-$folder/out}
device=${DEVICE:-cuda}
failed=0
step() { # NAME SECONDS COMMAND...: runs it with a time limit, keeps its output, says how it ended
    local name=$1 limit=$2 start=$SECONDS code
    shift 2
    timeout "$limit" "$@" >"$out/$name.log" 2>&1
    code=$?
    if [ $code -eq 0 ]; then
        echo "== $name: done in $((SECONDS - start)) s"
    else
        failed=$((failed + 1))
        echo "== $name: FAILED ($code) after $((SECONDS - start)) s"
    fi
    grep -E '^test result|panicked|FAILED|ERROR SUMMARY|error:|RACECHECK SUMMARY' "$out/$name.log" | head -${LINES_SHOWN:-25}
}

sanitize() { # TOOL
    local filter=()
    read -ra filter <<<"${FAMILIES:-}"
    # Small cases first found every fault so far; the time limit cuts the rest.
    step "$1" "${SANITIZER_SECONDS:-240}" compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 5 \
        "$folder/test-kernels" --test-threads 1 "${filter[@]}"
}

needs_a_card() { # NAME: whether there is one; says that the step is left out if not
    [ "$device" != cpu ] || echo "== $1: left out, needs a card"
    [ "$device" != cpu ]
}

run() {
    # With a card, the kernels' sources on the host are left out, and a missing device is a failure.
    [ "$device" = cpu ] || export CYTOGRAD_REQUIRE=cuda CYTOGRAD_SKIP=cuda-host
    mkdir -p "$out"
    rm -f "$out"/*.csv
    local steps=("$@")
    [ $# -gt 0 ] || steps=(info kernels runs memcheck racecheck bench torch table)
    for name in "${steps[@]}"; do
        case $name in
        info)
            [ "$device" = cpu ] || nvidia-smi --query-gpu=name,memory.total,driver_version,clocks.max.sm,clocks.max.memory --format=csv,noheader
            step devices 120 "$folder/cytograd" devices
            cat "$out/devices.log"
            ;;
        kernels)
            # On the host the same tests take minutes.
            local limit=300
            [ "$device" != cpu ] || limit=3600
            step kernels "${KERNEL_SECONDS:-$limit}" "$folder/test-kernels" --test-threads 4
            ;;
        runs)
            step runs 600 "$folder/test-training" --test-threads 4
            step recording 300 "$folder/test-recording" --test-threads 2
            ;;
        memcheck | racecheck) needs_a_card "$name" && sanitize "$name" ;;
        bench)
            step bench 300 "$folder/cytograd" bench --counterparts --device "$device" ${QUICK:+--quick} \
                --csv "$out/cytograd.csv"
            ;;
        torch) needs_a_card torch && step torch 400 sh -c "python3 benches/torch_counterparts.py > '$out/torch.csv'" ;;
        table) step table 60 python3 benches/gpu_table.py "$out/cytograd.csv" "$out/torch.csv" && cat "$out/table.log" ;;
        *)
            echo "gpu.sh: no step named $name" >&2
            failed=$((failed + 1))
            ;;
        esac
    done
    exit $failed
}

case $mode in
pack) pack ;;
run) run "$@" ;;
*) sed -n '2,21p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//' ;;
esac
