"""Writes one data set in every encoding and format into the folder argv[1].

`expected.h5ad` is what all of them must read to. anndata writes what it can write; the encodings of
its past and the formats of others are laid out with h5py as those programs did.
"""
import gzip, os, sys, warnings
import anndata, h5py, numpy as np, pandas as pd, scipy.io, scipy.sparse as sp

folder = sys.argv[1]
at = lambda name: os.path.join(folder, name)
rng = np.random.default_rng(0)
n, m = 30, 20
x = rng.poisson(0.6, (n, m)).astype("float32")
x[3] = 0  # a cell without counts
bases = np.array(list("ACGT"))
cells = ["".join(rng.choice(bases, 16)) + "-1" for _ in range(n)]
symbols = ["ACTB", "CD3D", "MS4A1", "LYZ", "NKG7", "MT-CO1", "RPL3", "GAPDH", "B2M", "CD8A"]
genes = symbols + [f"ZNF{i}" for i in range(m - len(symbols))]
ids = [f"ENSG{i:011d}" for i in range(m)]
obs = pd.DataFrame(
    {
        "cell_type": pd.Categorical(rng.choice(["T", "B", "mono"], n), categories=["B", "T", "mono", "never"]),
        "n": np.arange(n),
        "score": rng.normal(size=n),
    },
    index=cells,
)
var = pd.DataFrame({"gene_ids": ids, "length": np.arange(m) + 100}, index=genes)


def data(matrix):
    a = anndata.AnnData(matrix, obs.copy(), var.copy())
    a.layers["counts"] = matrix
    a.obsm["X_pca"] = rng.normal(size=(n, 3))
    a.uns["note"] = "kept"
    return a


# ---- anndata's own encodings ----
data(sp.csr_matrix(x)).write_h5ad(at("expected.h5ad"))
for compression in ["gzip", "lzf"]:
    data(sp.csr_matrix(x)).write_h5ad(at(f"csr_{compression}.h5ad"), compression=compression)
    data(sp.csc_matrix(x)).write_h5ad(at(f"csc_{compression}.h5ad"), compression=compression)
    data(x).write_h5ad(at(f"dense_{compression}.h5ad"), compression=compression)
for kind in ["float64", "int32", "int64", "uint16", "float16", "bool"]:
    y = (x > 0) if kind == "bool" else x.astype(kind)
    data(y).write_h5ad(at(f"dtype_{kind}.h5ad"))
data(x).write_h5ad(at("as_dense.h5ad"))
data(sp.csr_matrix(x)).write_h5ad(at("sparse_as_dense.h5ad"), as_dense=["X"])
backed = data(sp.csr_matrix(x))
backed.write_h5ad(at("backed.h5ad"))
backed = anndata.read_h5ad(at("backed.h5ad"), backed="r+")
backed.obs["later"] = 1.0
backed.write()
backed.file.close()
whole = data(sp.csr_matrix(x))
whole.raw = whole
whole[:, :12].copy().write_h5ad(at("raw.h5ad"))
nullable = data(sp.csr_matrix(x))
nullable.obs["maybe_n"] = pd.array([None if i % 3 == 0 else i for i in range(n)], dtype="Int64")
nullable.obs["maybe"] = pd.array([None if i % 3 == 0 else i % 2 == 0 for i in range(n)], dtype="boolean")
nullable.obs["gone"] = pd.Categorical([np.nan] * n, categories=[])
nullable.obs["partly"] = pd.Categorical([np.nan if i % 5 == 0 else "a" for i in range(n)])
nullable.write_h5ad(at("nullable.h5ad"))
x64 = sp.csr_matrix(x)
x64.indptr, x64.indices = x64.indptr.astype("int64"), x64.indices.astype("int64")
data(x64).write_h5ad(at("wide_indices.h5ad"))

text = h5py.string_dtype()


def sparse_group(f, name, matrix, new):
    g = f.create_group(name)
    kind = matrix.format
    if new:
        g.attrs.update({"encoding-type": f"{kind}_matrix", "encoding-version": "0.1.0"})
        g.attrs["shape"] = matrix.shape
    else:
        g.attrs["h5sparse_format"], g.attrs["h5sparse_shape"] = kind, matrix.shape
    for part in ["data", "indices", "indptr"]:
        g[part] = getattr(matrix, part)


# ---- anndata 0.7: groups, categories beside the codes ----
with h5py.File(at("old_0_7.h5ad"), "w") as f:
    sparse_group(f, "X", sp.csr_matrix(x), True)
    for name, table in [("obs", obs), ("var", var)]:
        g = f.create_group(name)
        g.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "_index"})
        g.attrs["column-order"] = np.array(list(table), dtype=text)
        g["_index"] = np.array(list(table.index), dtype=text)
        for c in table:
            if table[c].dtype == "category":
                g[f"__categories/{c}"] = np.array(list(table[c].cat.categories), dtype=text)
                g[f"__categories/{c}"].attrs["ordered"] = False
                g[c] = table[c].cat.codes.values
                g[c].attrs["categories"] = g[f"__categories/{c}"].ref
            elif table[c].dtype == object:
                g[c] = np.array(list(table[c]), dtype=text)
            else:
                g[c] = table[c].values
    f["obsm/X_pca"] = rng.normal(size=(n, 3))
    f["uns/note"] = "kept"
    f["uns/numbers"] = np.arange(3)
    sparse_group(f, "layers/counts", sp.csc_matrix(x), True)

# ---- anndata 0.6: records, categories in uns, raw.X ----
with h5py.File(at("old_0_6.h5ad"), "w") as f:
    sparse_group(f, "X", sp.csr_matrix(x), False)
    for name, table in [("obs", obs), ("var", var)]:
        fields = [("index", "S24")]
        columns = [np.array(list(table.index), dtype="S24")]
        for c in table:
            if table[c].dtype == "category":
                f[f"uns/{c}_categories"] = np.array(list(table[c].cat.categories), dtype=text)
                columns.append(table[c].cat.codes.values)
            elif table[c].dtype == object:
                columns.append(np.array(list(table[c]), dtype="S24"))
            else:
                columns.append(table[c].values)
            fields.append((c, columns[-1].dtype))
        records = np.zeros(len(table), dtype=fields)
        for (c, _), column in zip(fields, columns):
            records[c] = column
        f[name] = records
        if name == "var":
            f["raw.var"] = records
    obsm = np.zeros(n, dtype=[("X_pca", "f4", (3,)), ("X_umap", "f4", (2,))])
    obsm["X_umap"] = rng.normal(size=(n, 2))
    f["obsm"] = obsm
    f["uns/note"] = "kept"
    sparse_group(f, "raw.X", sp.csr_matrix(x), False)

# ---- 10x ----
columns = sp.csc_matrix(x.T.astype("int32"))
proteins = rng.poisson(9, (3, n)).astype("int32")


def tenx(g, matrix, barcodes):
    matrix = sp.csc_matrix(matrix)
    for part in ["data", "indices", "indptr"]:
        g.create_dataset(part, data=getattr(matrix, part), compression="gzip")
    g["shape"] = np.array(matrix.shape, dtype="int32")
    g["barcodes"] = np.array(barcodes, dtype="S18")


with h5py.File(at("tenx_v3.h5"), "w") as f:
    g = f.create_group("matrix")
    tenx(g, sp.vstack([columns, sp.csc_matrix(proteins)]), cells)
    t = g.create_group("features")
    t["id"] = np.array(ids + ["CD3", "CD19", "CD14"], dtype="S")
    t["name"] = np.array(genes + ["CD3_TotalSeqB", "CD19_TotalSeqB", "CD14_TotalSeqB"], dtype="S")
    t["feature_type"] = np.array(["Gene Expression"] * m + ["Antibody Capture"] * 3, dtype="S")
    t["genome"] = np.array(["GRCh38"] * m + [""] * 3, dtype="S")
    t["_all_tag_keys"] = np.array(["genome"], dtype="S")
with h5py.File(at("tenx_v2.h5"), "w") as f:
    g = f.create_group("hg19")
    tenx(g, columns, cells)
    g["genes"], g["gene_names"] = np.array(ids, dtype="S"), np.array(genes, dtype="S")
with h5py.File(at("tenx_two_genomes.h5"), "w") as f:
    for genome, part in [("hg19", slice(0, 12)), ("mm10", slice(12, m))]:
        g = f.create_group(genome)
        tenx(g, columns[part], cells)
        g["genes"], g["gene_names"] = np.array(ids[part], dtype="S"), np.array(genes[part], dtype="S")


def folder_of(name, opened, suffix, feature_file, feature_rows, matrix, prefix=""):
    os.makedirs(at(name), exist_ok=True)
    put = lambda file: opened(at(f"{name}/{prefix}{file}{suffix}"), "wb")
    with put("matrix.mtx") as f:
        scipy.io.mmwrite(f, sp.coo_matrix(matrix), field="integer")
    with put(feature_file) as f:
        f.write("".join("\t".join(row) + "\n" for row in feature_rows).encode())
    with put("barcodes.tsv") as f:
        f.write("".join(c + "\n" for c in cells).encode())


plain = list(zip(ids, genes))
typed = [(i, g, "Gene Expression") for i, g in plain]
guides = typed + [("CD3", "CD3_TotalSeqB", "Antibody Capture")]
folder_of("mtx_v2", open, "", "genes.tsv", plain, columns)
folder_of("mtx_v3", gzip.open, ".gz", "features.tsv", typed, columns)
folder_of("mtx_prefixed", gzip.open, ".gz", "features.tsv", typed, columns, prefix="GSM1_sample_")
folder_of("mtx_proteins", gzip.open, ".gz", "features.tsv", guides, sp.vstack([columns, sp.csc_matrix(proteins[:1])]))
folder_of("outs/filtered_feature_bc_matrix", gzip.open, ".gz", "features.tsv", typed, columns)

# ---- tables ----
frame = pd.DataFrame(x.astype(int), index=cells, columns=genes)
frame.to_csv(at("cells_by_genes.csv"))
frame.T.to_csv(at("genes_by_cells.tsv"), sep="\t")
frame.T.to_csv(at("genes_by_cells.csv.gz"), compression="gzip")
frame.to_csv(at("semicolons.csv"), sep=";")
labelled = frame.copy()
labelled.insert(0, "cell_type", list(obs["cell_type"]))
labelled.to_csv(at("labelled.csv"))
with open(at("from_r.txt"), "w") as f:  # write.table of R: no corner, quotes, spaces
    f.write(" ".join(f'"{c}"' for c in cells) + "\n")
    for g, row in zip(genes, x.T):
        f.write(" ".join([f'"{g}"'] + [str(int(v)) for v in row]) + "\n")

# ---- loom ----
with h5py.File(at("loompy.loom"), "w") as f:
    f.create_dataset("matrix", data=x.T, compression="gzip", chunks=(8, 8))
    f.create_dataset("layers/spliced", data=x.T.astype("int16"))
    f["row_attrs/Gene"], f["row_attrs/Accession"] = np.array(genes, dtype=text), np.array(ids, dtype=text)
    f["col_attrs/CellID"], f["col_attrs/n"] = np.array(cells, dtype=text), np.arange(n)
    f["col_attrs/cell_type"] = np.array(list(obs["cell_type"]), dtype=text)
    f["col_attrs/umap"] = rng.normal(size=(n, 2))
    f.create_group("col_graphs"), f.create_group("row_graphs")
    f.attrs["LOOM_SPEC_VERSION"] = "2.0.1"
