#!/usr/bin/env bash
# Three models on three real data sets, one type left out of each reference, five seeds: the table of
# the README. Usage: benches/real_data.sh FOLDER [PROGRAM], FOLDER holding the .h5ad files.
set -euo pipefail
folder=${1:?the folder with kang_ifnb_pbmc.h5ad, pbmc_10x_3chem.h5ad, pancreas_human_5tech.h5ad}
program=${2:-cytograd}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# name | file | batch key | reference cells | query cells | types left out (endothelial has one
# reference cell, too few to learn from)
tasks=(
    "kang, control to stimulated|kang_ifnb_pbmc|condition|condition=ctrl|condition=stim|B cells"
    "kang, control to stimulated|kang_ifnb_pbmc|condition|condition=ctrl|condition=stim|CD14+ Monocytes"
    "pbmc, 3' v1 and v2 to 5'|pbmc_10x_3chem|technology|technology=10x 3' v1,technology=10x 3' v2|technology=10x 5'|B"
    "pbmc, 3' v1 and v2 to 5'|pbmc_10x_3chem|technology|technology=10x 3' v1,technology=10x 3' v2|technology=10x 5'|NK"
    "pancreas, inDrop and Smart-seq2 to the others|pancreas_human_5tech|technology|technology=indrop,technology=smartseq2|technology=celseq,technology=celseq2,technology=fluidigmc1|ductal,endothelial"
)

# `FLAG A FLAG B ...` from a list with commas.
conditions() {
    local flag=$1 list=$2 part
    while IFS= read -r part; do printf '%s\n%s\n' "$flag" "$part"; done < <(tr , '\n' <<<"$list")
}

echo "| task | left out | model | accuracy | ECE | AUROC log p(x) | AUROC max p | diverged |"
echo "|---|---|---|---|---|---|---|---|"
for task in "${tasks[@]}"; do
    IFS='|' read -r name file batch reference query left_out <<<"$task"
    mapfile -t where < <(conditions --where "$reference")
    mapfile -t query_where < <(conditions --query-where "$query")
    mapfile -t hold_out < <(conditions --hold-out "$left_out")
    mapfile -t annotate_where < <(conditions --where "$query")
    for model in resnet jem clams; do
        : >"$work/rows"
        for seed in 0 1 2 3 4; do
            "$program" train "$model" --reference "$folder/$file.h5ad" "${where[@]}" --query "$folder/$file.h5ad" \
                "${query_where[@]}" --label-key cell_type --batch-key "$batch" "${hold_out[@]}" \
                --seed "$seed" --out "$work/run" --overwrite -q
            "$program" annotate --model "$work/run" "$folder/$file.h5ad" "${annotate_where[@]}" -o "$work/out.h5ad" -q
            "$program" evaluate "$work/out.h5ad" --truth cell_type --json >"$work/out.json"
            diverged=$(grep -c '"diverged": true' "$work/run/manifest.json" || true)
            awk -F': *|,' -v diverged="$diverged" '
                /^  "accuracy"/ { acc = $2 } /^  "ece_equal_width"/ { ece = $2 }
                /"detection"/ && !seen { inside = 1; seen = 1 } /"auroc"/ && inside { auroc[++n] = $2; if (n == 2) inside = 0 }
                END { print acc, ece, auroc[1], auroc[2], diverged }' "$work/out.json" >>"$work/rows"
        done
        awk -v name="$name" -v left="$left_out" -v model="$model" '
            { n++; for (i = 1; i <= 4; i++) { s[i] += $i; q[i] += $i * $i } d += $5 }
            function cell(i,  m, v) { m = s[i] / n; v = q[i] / n - m * m; return sprintf("%.3f ± %.3f", m, v > 0 ? sqrt(v) : 0) }
            END { printf "| %s | %s | %s | %s | %s | %s | %s | %d of %d |\n", name, left, model, cell(1), cell(2), cell(3), cell(4), d, n }
        ' "$work/rows"
    done
done
