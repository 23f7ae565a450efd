"""Fails unless h5ad files open without a warning and hold all of what they were made from.

Arguments in threes: the source, the file made of it, and its rows with commas between (empty: all).
"""
import sys, warnings
import anndata, numpy as np, scipy.sparse as sp

dense = lambda v: v.toarray() if sp.issparse(v) else np.asarray(v)
same = lambda v, w: np.array_equal(dense(v), dense(w), equal_nan=dense(v).dtype.kind == "f")
plain = lambda c: list(c.astype(object).where(c.notna(), None))


def compare(source, made, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the source may be old
        a = anndata.read_h5ad(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        b = anndata.read_h5ad(made)
    rows = [int(r) for r in rows.split(",")] if rows else list(range(a.n_obs))
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
            assert plain(v) == plain(w), (name, c)
            if str(v.dtype) == "category":
                assert list(v.cat.categories) == list(w.cat.categories), (name, c)
    assert set(a.uns) <= set(b.uns), "uns"
    if a.raw is not None:
        assert same(a.raw.X[rows], b.raw.X) and list(a.raw.var_names) == list(b.raw.var_names), "raw"
    assert b.obs["added"].tolist() == list(range(len(rows)))


for i in range(1, len(sys.argv), 3):
    try:
        compare(*sys.argv[i : i + 3])
    except Exception as error:
        raise AssertionError(sys.argv[i]) from error
