//! What the fuzz targets share: bytes as a file, and everything that can be asked of it.

mod damage;
#[cfg(feature = "forged-sums")]
mod sums;

pub use damage::damage;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

thread_local! {
    /// A folder in memory, where the machine has one.
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// Puts `bytes` under `name` into the scratch folder.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    FOLDER.with(|cell| {
        let folder = cell.get_or_init(|| {
            #[cfg(feature = "forged-sums")]
            sums::count_as_right();
            // Everything on this thread: waking others takes longer than a small file.
            let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
            alone.build_global().expect("the first pool");
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a scratch folder")
        });
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    })
}

/// The most memory that reading a file of some kilobytes may take, in KiB.
const MOST: i64 = 256 << 10;

/// Opens the file and reads all of it; what it says must hang together.
pub fn read(path: &Path) {
    let before = peak();
    ask_everything(path);
    let taken = peak() - before;
    assert!(taken < MOST, "{taken} KiB of memory");
}

/// The most memory that the process ever held, in KiB.
fn peak() -> i64 {
    // SAFETY: numbers, for which zero is a value, in a place that is ours.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_maxrss
    }
}

fn ask_everything(path: &Path) {
    let Ok(source) = cytograd::data::open(path) else { return };
    let n = source.obs().n_rows();
    let _ = source.extras();
    for stored in source.matrices() {
        let _ = source.row_sizes(&stored.which);
        if let Ok(matrix) = source.rows(&stored.which, n / 2..n) {
            assert_eq!((matrix.n_rows(), matrix.n_cols()), (n - n / 2, stored.n_cols));
        }
    }
    if let Ok(data) = source.dataset() {
        assert_eq!((data.x.n_rows(), data.x.n_cols()), (data.obs.n_rows(), data.var.n_rows()));
        assert_eq!(data.x.row_sums().len(), n);
    }
}
