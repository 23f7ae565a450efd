//! What names of genes and cells look like: kinds of ids, species, which axis is which.
//!
//! May use: nothing but the standard library. Guesses, each with its evidence; nothing here changes
//! a value.
#![forbid(unsafe_code)]

use std::collections::HashSet;

/// How genes are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// `TP53`, `Cd3d`.
    Symbol,
    /// `ENSG00000141510`, and stable ids of other data bases.
    Ensembl,
    /// With a version, as in `ENSG00000141510.18`.
    EnsemblVersioned,
    /// Numbers: NCBI gene ids.
    Number,
    /// Positions in a genome: `chr1:100-600`.
    Peak,
    /// None of these.
    Unknown,
}

impl IdKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            IdKind::Symbol => "gene symbols",
            IdKind::Ensembl => "Ensembl ids",
            IdKind::EnsemblVersioned => "Ensembl ids with versions",
            IdKind::Number => "numbers",
            IdKind::Peak => "genome positions",
            IdKind::Unknown => "names of no known kind",
        }
    }
}

/// What a list of gene names says.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneNames {
    /// How most of them are named.
    pub kind: IdKind,
    /// Whose genes they look like.
    pub species: Option<&'static str>,
    /// Why.
    pub evidence: String,
}

/// Stable id prefixes and their species.
const PREFIXES: [(&str, &str); 16] = [
    ("ENSMUSG", "mouse"),
    ("ENSRNOG", "rat"),
    ("ENSDARG", "zebrafish"),
    ("ENSMMUG", "macaque"),
    ("ENSMFAG", "crab-eating macaque"),
    ("ENSPTRG", "chimpanzee"),
    ("ENSSSCG", "pig"),
    ("ENSGALG", "chicken"),
    ("ENSBTAG", "cow"),
    ("ENSCAFG", "dog"),
    ("ENSOCUG", "rabbit"),
    ("ENSCJAG", "marmoset"),
    ("ENSXETG", "frog"),
    ("ENSG", "human"),
    ("FBGN", "fruit fly"),
    ("WBGENE", "nematode"),
];

/// Symbols that most single-cell data sets hold some of.
const KNOWN: &str = "ACTB GAPDH B2M MALAT1 TMSB4X TMSB10 EEF1A1 TPT1 FTL FTH1 UBC UBB HSPA8 HSPA1A HSP90AA1 JUN FOS \
    NEAT1 CD3D CD3E CD3G CD4 CD8A CD8B CD2 IL7R CCR7 TRAC TRBC1 TRBC2 MS4A1 CD19 CD79A CD79B IGHM IGKC NKG7 GNLY KLRD1 \
    PRF1 GZMA GZMB GZMK LYZ CD14 FCGR3A CD68 CST3 S100A4 S100A6 S100A8 S100A9 FCER1A CLEC9A PPBP PF4 HBB HBA1 HBA2 HBG1 \
    CD34 KIT GATA1 GATA2 GATA3 MPO ELANE COL1A1 COL1A2 COL3A1 DCN LUM ACTA2 TAGLN VIM PECAM1 VWF CDH5 EPCAM KRT5 KRT8 \
    KRT14 KRT18 KRT19 CDH1 INS GCG SST PPY GHRL IAPP TTR PRSS1 AMY2A APOE APOC1 ALB TF SFTPC SCGB1A1 MKI67 TOP2A PCNA \
    TYMS STMN1 H2AFZ TUBA1B TUBB HMGB2 XIST TP53 MYC CCND1 CD44 ITGAM PTPRC CD74 HLA-A HLA-B HLA-C HLA-DRA HLA-DRB1 \
    SNAP25 SYT1 RBFOX3 GAD1 GAD2 SLC17A7 SLC17A6 PVALB VIP AQP4 GFAP MBP PLP1 MOG PDGFRA CX3CR1 P2RY12 AIF1 C1QA C1QB \
    C1QC LDHA ENO1 PGK1 ALDOA CFL1 PFN1 MYL6 OAZ1 SERF2 NPM1 NCL EIF1 EIF4A1 RACK1 SOX2 SOX9 PAX6 NES DCX ID1 ID2 ID3";

fn known() -> HashSet<&'static str> {
    KNOWN.split_whitespace().collect()
}

/// `ENSG00000141510`, `ENSMUSG00000059552.14`, `FBgn0000008`: the species and whether a version
/// follows.
fn stable_id(name: &str) -> Option<(&'static str, bool)> {
    let (stem, version) = name.split_once('.').map_or((name, None), |(stem, version)| (stem, Some(version)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let upper = stem.to_ascii_uppercase();
    let (prefix, species) = PREFIXES.iter().find(|(prefix, _)| upper.starts_with(prefix)).or({
        // Other species of Ensembl: ENS, three or four letters, G.
        upper.starts_with("ENS").then_some(&("ENS", "another species"))
    })?;
    let rest = upper[prefix.len()..].trim_start_matches(|c: char| *prefix == "ENS" && c.is_ascii_alphabetic());
    let enough = rest.len() >= 7 && digits(rest);
    (enough && version.is_none_or(digits)).then_some((species, version.is_some()))
}

fn is_peak(name: &str) -> bool {
    let Some((chromosome, range)) = name.split_once([':', '-', '_']) else { return false };
    let ends: Vec<&str> = range.split(['-', '_']).collect();
    let number = |t: &&str| t.len() >= 2 && t.bytes().all(|b| b.is_ascii_digit());
    ends.len() == 2 && ends.iter().all(number) && chromosome.len() <= 12
}

/// Whether a name could be a gene symbol that everybody has.
fn is_known(name: &str, known: &HashSet<&str>) -> bool {
    let upper = name.to_ascii_uppercase();
    let upper = upper.as_str();
    let ribosomal = |rest: &str| rest.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'P');
    known.contains(upper)
        || upper.starts_with("MT-") && upper.len() > 4
        || upper.strip_prefix("RPL").is_some_and(ribosomal)
        || upper.strip_prefix("RPS").is_some_and(ribosomal)
}

/// What kind of names these are, and of which species.
pub fn gene_names(names: &[String]) -> GeneNames {
    let n = names.len().max(1) as f64;
    let unknown = |evidence: String| GeneNames { kind: IdKind::Unknown, species: None, evidence };
    if names.is_empty() {
        return unknown("there are none".into());
    }
    let stable: Vec<(&str, bool)> = names.iter().filter_map(|name| stable_id(name)).collect();
    if stable.len() as f64 >= 0.5 * n {
        let versions = stable.iter().filter(|(_, version)| *version).count();
        let kind = if versions * 2 > stable.len() { IdKind::EnsemblVersioned } else { IdKind::Ensembl };
        let mut species: Vec<&str> = stable.iter().map(|(species, _)| *species).collect();
        species.sort_unstable();
        let most = species.chunk_by(|a, b| a == b).max_by_key(|same| same.len());
        let main = most.filter(|same| same.len() * 10 >= species.len() * 9).map(|same| same[0]);
        // The lists hold static texts only.
        let species = PREFIXES.iter().map(|(_, s)| *s).find(|s| Some(*s) == main);
        return GeneNames { kind, species, evidence: format!("{} of {} are stable ids", stable.len(), names.len()) };
    }
    let peaks = names.iter().filter(|name| is_peak(name)).count();
    if peaks as f64 >= 0.5 * n {
        let evidence = format!("{peaks} of {} look like chr1:100-600", names.len());
        return GeneNames { kind: IdKind::Peak, species: None, evidence };
    }
    let numbers = names.iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit())).count();
    if numbers as f64 >= 0.9 * n {
        let evidence = format!("{numbers} of {} are numbers", names.len());
        return GeneNames { kind: IdKind::Number, species: None, evidence };
    }
    symbols(names)
        .unwrap_or_else(|| unknown(format!("such as {}", super::table::list_names(&names[..names.len().min(3)]))))
}

/// Symbols: by genes that everybody has; species by the way they are spelt.
fn symbols(names: &[String]) -> Option<GeneNames> {
    let known = known();
    // Names of several genomes carry the genome: GRCh38_CD3D.
    let found: Vec<&str> = names
        .iter()
        .map(|name| name.rsplit_once('_').filter(|(_, rest)| is_known(rest, &known)).map_or(name.as_str(), |(_, r)| r))
        .filter(|name| is_known(name, &known))
        .collect();
    if found.len() < 3.min(names.len()) || found.is_empty() {
        return None;
    }
    let letters = |name: &str| name.chars().filter(char::is_ascii_alphabetic).collect::<String>();
    let case =
        |test: fn(&str) -> bool| found.iter().filter(|name| test(&letters(name))).count() * 10 >= found.len() * 8;
    let upper = |text: &str| text.chars().all(|c| c.is_ascii_uppercase());
    let title = |text: &str| {
        // Cd3d, but also mt-Nd1 and H2-Ab1: not all upper and not all lower.
        text.chars().any(|c| c.is_ascii_lowercase()) && text.chars().any(|c| c.is_ascii_uppercase())
    };
    let lower = |text: &str| text.chars().all(|c| c.is_ascii_lowercase());
    let (species, spelling) = if case(upper) {
        (Some("human"), "in capitals")
    } else if case(title) {
        (Some("mouse"), "with one capital (rat looks the same)")
    } else if case(lower) {
        (Some("zebrafish"), "in small letters")
    } else {
        (None, "in mixed spelling")
    };
    let evidence = format!("{} well-known symbols {spelling}, as {}", found.len(), found[0]);
    Some(GeneNames { kind: IdKind::Symbol, species, evidence })
}

/// Whether the name is a 10x barcode, perhaps with a sample before or after it.
fn is_barcode(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|part| part.len() >= 8 && part.bytes().all(|b| matches!(b, b'A' | b'C' | b'G' | b'T' | b'N')))
}

/// Which axis holds genes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// Whether the rows are genes.
    pub genes_in_rows: bool,
    /// Why, to be said.
    pub evidence: &'static str,
}

/// Says which of two lists of names are genes; `corner` is what stands above the row names.
pub fn orientation(rows: &[String], columns: &[String], corner: &str) -> Orientation {
    let say = |genes_in_rows: bool, evidence| Orientation { genes_in_rows, evidence };
    let known = known();
    let gene_share = |names: &[String]| {
        let stable = names.iter().filter(|n| stable_id(n).is_some() || is_peak(n)).count();
        let symbols = names.iter().filter(|n| is_known(n, &known)).count();
        // Symbols that everybody has are few among many.
        (stable as f64 + 20.0 * symbols as f64) / names.len().max(1) as f64
    };
    let (r, c) = (gene_share(rows), gene_share(columns));
    if r.max(c) >= 0.1 && (r > 2.0 * c || c > 2.0 * r) {
        return say(r > c, "the names look like genes");
    }
    let barcodes = |names: &[String]| names.iter().filter(|n| is_barcode(n)).count() * 2 > names.len();
    if barcodes(rows) != barcodes(columns) {
        return say(barcodes(columns), "the other names are barcodes");
    }
    let begins = |names: &[String], words: &[&str]| {
        let with = |n: &&String| words.iter().any(|word| n.to_ascii_lowercase().starts_with(word));
        names.iter().filter(with).count() * 2 > names.len()
    };
    let (genes, cells) = (["gene", "feature", "probe"], ["cell", "sample", "barcode", "well"]);
    if begins(rows, &genes) != begins(columns, &genes) {
        return say(begins(rows, &genes), "the names begin with \"gene\"");
    }
    if begins(rows, &cells) != begins(columns, &cells) {
        return say(begins(columns, &cells), "the other names begin with \"cell\"");
    }
    let corner = corner.to_ascii_lowercase();
    if genes.iter().chain(&["symbol", "ensembl"]).any(|word| corner.contains(word)) {
        return say(true, "the first line calls them so");
    }
    if cells.iter().any(|word| corner.contains(word)) {
        return say(false, "the first line calls the rows cells");
    }
    say(false, "nothing in the names tells, cells in rows is the custom")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn kinds_and_species_are_guessed_from_the_names() {
        let guess = |names: &[&str]| {
            let found = gene_names(&texts(names));
            (found.kind, found.species)
        };
        assert_eq!(guess(&["ENSG00000141510", "ENSG00000177455"]), (IdKind::Ensembl, Some("human")));
        assert_eq!(guess(&["ENSMUSG00000059552.14"]), (IdKind::EnsemblVersioned, Some("mouse")));
        assert_eq!(guess(&["ACTB", "CD3D", "MT-CO1", "ZZZ3"]), (IdKind::Symbol, Some("human")));
        assert_eq!(guess(&["Actb", "Cd3d", "mt-Co1", "Gm123"]), (IdKind::Symbol, Some("mouse")));
        assert_eq!(guess(&["actb", "cd4", "rpl3"]), (IdKind::Symbol, Some("zebrafish")));
        assert_eq!(guess(&["chr1:100-600", "chr2-5000-5500"]), (IdKind::Peak, None));
        assert_eq!(guess(&["7157", "930"]), (IdKind::Number, None));
        assert_eq!(guess(&["gene_00000", "gene_00001", "gene_00002"]), (IdKind::Unknown, None));
        assert_eq!(guess(&["GRCh38_ACTB", "GRCh38_CD3D", "GRCh38_B2M"]), (IdKind::Symbol, Some("human")));
    }

    #[test]
    fn genes_are_found_on_either_axis() {
        let genes = texts(&["ACTB", "CD3D", "XYZ"]);
        let cells = texts(&["AAACCTGAGAAACCAT-1", "AAACCTGAGAAACCGC-1"]);
        assert!(orientation(&genes, &cells, "").genes_in_rows);
        assert!(!orientation(&cells, &genes, "").genes_in_rows);
        let plain = texts(&["a", "b"]);
        assert!(orientation(&plain, &cells, "").genes_in_rows);
        assert!(orientation(&texts(&["gene1", "gene2"]), &plain, "").genes_in_rows);
        assert!(orientation(&plain, &texts(&["cell1"]), "").genes_in_rows);
        assert!(orientation(&plain, &plain, "Gene").genes_in_rows);
        assert!(orientation(&plain, &plain, "").evidence.contains("nothing"));
    }
}
