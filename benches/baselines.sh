#!/usr/bin/env bash
# Eleven tasks on four real data sets, one or two types left out of each reference: accuracy on known
# types and AUROC of every score, per model, with the preparation and the score that a rehearsal on the
# query chooses, which sees no label of the query. Usage: [VARIABLE=..] benches/baselines.sh FOLDER [PROGRAM [SEEDS
# [MODEL ...]]], FOLDER holding the .h5ad files. TRAIN="OPTIONS" goes to every training, REHEARSE= leaves rehearsals out,
# PREPARATION=variance or zscore fixes that, TASKS=inside takes 32 tasks inside the references: one batch or donor as the query.
set -euo pipefail
folder=${1:?the folder with kang_ifnb_pbmc.h5ad, pbmc_10x_3chem.h5ad, pancreas_human_5tech.h5ad, cellbench_3tech_panel.h5ad}
program=${2:-cytograd}
seeds=${3:-0}
shift $(($# < 3 ? $# : 3))
models=("$@")
[[ ${#models[@]} -gt 0 ]] || models=(lda knn logreg svm ingest scpred anchors)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# name | file | batch key | reference cells | query cells | types left out
kang='kang_ifnb_pbmc|condition|condition=ctrl|condition=stim'
pbmc="pbmc_10x_3chem|technology|technology=10x 3' v1,technology=10x 3' v2|technology=10x 5'"
pancreas='pancreas_human_5tech|technology|technology=indrop,technology=smartseq2|technology=celseq,technology=celseq2,technology=fluidigmc1'
tasks=(
    "kang|$kang|B cells" "kang|$kang|CD14+ Monocytes" "kang|$kang|CD4 T cells"
    "kang|$kang|CD8 T cells" "kang|$kang|FCGR3A+ Monocytes"
    "pbmc|$pbmc|B" "pbmc|$pbmc|NK" "pbmc|$pbmc|Mono_CD16"
    "pancreas|$pancreas|ductal,endothelial" "pancreas|$pancreas|delta,endothelial"
    "cellbench|cellbench_3tech_panel|technology|technology=10x|dataset=5cl|"
)

if [[ ${TASKS:-} == inside ]]; then
    tasks=()
    for type in "B cells" "CD14+ Monocytes" "CD4 T cells" "CD8 T cells" "FCGR3A+ Monocytes"; do
        for pair in "101 107" "107 101"; do
            read -r a b <<<"$pair"
            tasks+=("kang|kang_ifnb_pbmc|donor|condition=ctrl,donor=$a|condition=ctrl,donor=$b|$type")
        done
    done
    for type in T_CD4 Mono_CD14 T_CD8 B Mono_CD16 NK; do
        for pair in "v1 v2" "v2 v1"; do
            read -r a b <<<"$pair"
            tasks+=("pbmc|pbmc_10x_3chem|technology|technology=10x 3' $a|technology=10x 3' $b|$type")
        done
    done
    for type in alpha beta ductal acinar delta; do
        # A single endothelial cell of inDrop is too few to learn from.
        tasks+=("pancreas|pancreas_human_5tech|technology|technology=indrop|technology=smartseq2|$type,endothelial")
        tasks+=("pancreas|pancreas_human_5tech|technology|technology=smartseq2|technology=indrop|$type")
    done
fi

# `FLAG A FLAG B ...` from a list with commas.
conditions() {
    local flag=$1 list=$2 part
    [[ -z $list ]] || while IFS= read -r part; do printf '%s\n%s\n' "$flag" "$part"; done < <(tr , '\n' <<<"$list")
}

echo "model,seed,task,left_out,accuracy,preparation,chosen,score,auroc"
for task in "${tasks[@]}"; do
    IFS='|' read -r name file batch reference query left_out <<<"$task"
    mapfile -t where < <(conditions --where "$reference")
    mapfile -t query_where < <(conditions --query-where "$query")
    mapfile -t hold_out < <(conditions --hold-out "$left_out")
    mapfile -t annotate_where < <(conditions --where "$query")
    for model in "${models[@]}"; do
        for seed in $seeds; do
            # shellcheck disable=SC2086  # options, several words
            "$program" train "$model" ${TRAIN:-} ${PREPARATION:+--preparation "$PREPARATION"} --reference "$folder/$file.h5ad" "${where[@]}" --query "$folder/$file.h5ad" \
                "${query_where[@]}" --label-key cell_type --batch-key "$batch" "${hold_out[@]}" \
                --seed "$seed" ${REHEARSE---rehearse} --out "$work/run" --overwrite --json -q >"$work/run.json"
            # Of the run's own rehearsal: the other preparation's is further in.
            rehearsed() { sed -n "s/^    \"$1\": \"\(.*\)\",/\1/p" "$work/run.json"; }
            chosen="$(rehearsed preparation),$(rehearsed chosen)"
            "$program" annotate --model "$work/run" "$folder/$file.h5ad" "${annotate_where[@]}" --scores \
                -o "$work/out.h5ad" -q
            "$program" evaluate "$work/out.h5ad" --truth cell_type --json >"$work/out.json"
            awk -F': *|,' -v row="$model,$seed,$name,${left_out//,/+}" -v chosen="$chosen" '
                /^  "accuracy"/ { accuracy = $2 }
                /^  "detection"/ { inside = 1 }
                /^  \]/ { inside = 0 }
                inside && /"score"/ { gsub(/"/, "", $2); score = $2 }
                inside && /"auroc"/ { print row "," accuracy "," chosen "," score "," $2 }
            ' "$work/out.json"
        done
    done
done
