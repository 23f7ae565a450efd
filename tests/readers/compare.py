"""Fails unless the h5ad file argv[2] opens without a warning and holds all of argv[1]."""
import sys, warnings
import anndata, numpy as np, scipy.sparse as sp

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the source may be old
    a = anndata.read_h5ad(sys.argv[1])
warnings.simplefilter("error")
b = anndata.read_h5ad(sys.argv[2])
dense = lambda v: v.toarray() if sp.issparse(v) else np.asarray(v)
same = lambda v, w: np.array_equal(dense(v), dense(w), equal_nan=dense(v).dtype.kind == "f")
rows = [int(r) for r in sys.argv[3].split(",")] if len(sys.argv) > 3 else list(range(a.n_obs))
assert list(b.obs_names) == [a.obs_names[r] for r in rows]
assert list(a.var_names) == list(b.var_names)
assert same(a.X[rows], b.X) and a.X.dtype == b.X.dtype, "X"
for part in ["layers", "obsm"]:
    for k in getattr(a, part).keys():
        assert same(getattr(a, part)[k][rows], getattr(b, part)[k]), (part, k)
for name, ours, theirs in [("obs", a.obs.iloc[rows], b.obs), ("var", a.var, b.var)]:
    for c in ours:
        v, w = ours[c], theirs[c]
        assert str(v.dtype) == str(w.dtype), (name, c, v.dtype, w.dtype)
        assert [None if p is None or p != p else p for p in v.astype(object).where(v.notna(), None)] == [
            None if p is None or p != p else p for p in w.astype(object).where(w.notna(), None)
        ], (name, c)
        if str(v.dtype) == "category":
            assert list(v.cat.categories) == list(w.cat.categories), (name, c)
assert set(a.uns) <= set(b.uns), "uns"
if a.raw is not None:
    assert same(a.raw.X[rows], b.raw.X) and list(a.raw.var_names) == list(b.raw.var_names), "raw"
assert b.obs["added"].tolist() == list(range(len(rows)))
