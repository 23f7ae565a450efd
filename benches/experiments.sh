#!/usr/bin/env bash
# The tables of docs/RESULTS.md: the protocols of the CLAMS paper on five real data sets. Goes on where it was stopped.
# Usage: benches/experiments.sh FOLDER OUT [PROGRAM [PART ...]], FOLDER holding the .h5ad files, PARTs of annotation,
# one-class, ablation, clipping, sweep.
set -euo pipefail
folder=${1:?the folder with the .h5ad files} out=${2:?a folder for the results} program=${3:-cytograd}
shift $(($# < 3 ? $# : 3))
parts=("$@")
[[ ${#parts[@]} -gt 0 ]] || parts=(annotation one-class ablation clipping sweep)

# file | batch key
kang=(--reference "$folder/kang_ifnb_pbmc.h5ad" --label-key cell_type --batch-key condition)
pbmc=(--reference "$folder/pbmc_10x_3chem.h5ad" --label-key cell_type --batch-key technology)
pancreas=(--reference "$folder/pancreas_human_5tech.h5ad" --label-key cell_type --batch-key technology)
facs=(--reference "$folder/pbmc_facs_zheng.h5ad" --label-key cell_type)
lines=(--reference "$folder/cellbench_3tech_panel.h5ad" --label-key cell_type --batch-key technology)
# What is the reference, what the query.
stimulated=(--query "$folder/kang_ifnb_pbmc.h5ad" --where condition=ctrl --query-where condition=stim)
five_prime=(--query "$folder/pbmc_10x_3chem.h5ad" --where "technology=10x 3' v1" --where "technology=10x 3' v2"
    --query-where "technology=10x 5'")

run() {
    local name=$1
    shift
    echo "== $name"
    "$program" experiment "$@" --out "$out/$name" -q
}

annotation() {
    run annotation-kang-B annotation "${kang[@]}" "${stimulated[@]}" --hold-out "B cells"
    run annotation-kang-CD14 annotation "${kang[@]}" "${stimulated[@]}" --hold-out "CD14+ Monocytes"
    run annotation-pbmc-B annotation "${pbmc[@]}" "${five_prime[@]}" --hold-out B
    run annotation-pbmc-NK annotation "${pbmc[@]}" "${five_prime[@]}" --hold-out NK
    run annotation-pancreas annotation "${pancreas[@]}" --query "$folder/pancreas_human_5tech.h5ad" \
        --where technology=indrop --where technology=smartseq2 --hold-out ductal --hold-out endothelial
    run annotation-lines annotation "${lines[@]}" --query "$folder/cellbench_3tech_panel.h5ad" \
        --where technology=10x --query-where dataset=5cl
    run annotation-facs annotation "${facs[@]}" --query "$folder/pbmc_facs_zheng.h5ad" \
        --where split=train --query-where split=test --hold-out "CD56+ NK"
}

one-class() {
    run one-class-pancreas one-class "${pancreas[@]}"
    run one-class-kang one-class "${kang[@]}"
    # Three cells of HSC are too few to learn from.
    run one-class-pbmc one-class "${pbmc[@]}" --hold-out HSC
    run one-class-lines one-class "${lines[@]}"
    run one-class-facs one-class "${facs[@]}"
}

# The paper's network, with step size 10 and as many iterations as it takes to diverge on small references.
ablation() {
    run ablation-kang ablation "${kang[@]}" "${stimulated[@]}" --hold-out "B cells" --profile paper --epochs 60 --seeds 1 \
        --set ebm.sgld.alpha=10
}

# JEM with each clipping function, at the default learning rate and at ten times that.
clipping() {
    local clip rate
    for rate in 0.0001 0.001; do
        for clip in none leaky-relu elu relu; do
            run "clipping-$clip-$rate" annotation "${kang[@]}" "${stimulated[@]}" --hold-out "B cells" --profile paper \
                --epochs 60 --seeds 2 --models jem --set ebm.sgld.alpha=10 --set ebm.loss.clip="$clip" --set ebm.optim.lr="$rate"
        done
    done
}

sweep() {
    run sweep-kang sweep "${kang[@]}" --where condition=ctrl --profile small --epochs 60 --trials 8
}

for part in "${parts[@]}"; do
    "$part"
done
