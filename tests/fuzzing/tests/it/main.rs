//! The fuzz targets on stable: the seeds, mutations of them, and inputs too large to be kept as files.

mod mutation;
mod nasty;
mod replay;
