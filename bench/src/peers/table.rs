//! The table of allocators. The order is that of the columns.
//!
//! Each runs as its makers ship it: their flags, their defaults. What a row
//! adds to the environment is what its documentation asks for.

use super::build::{Archive, Package, Version};
use super::{BASE, Inside, OURS, Peer, Source};
use crate::job::Need;

/// What mimalloc's own build says for a shared library that overrides malloc.
const MIMALLOC: &[&str] = &[
    "-DMI_BUILD_RELEASE",
    "-DMI_SHARED_LIB",
    "-DMI_SHARED_LIB_EXPORT",
    "-DMI_MALLOC_OVERRIDE",
    "-fvisibility=hidden",
];

/// What C and C++ call Google's functions. Its own build says the same with aliases,
/// which the package's build leaves out.
const TCMALLOC: &[(&str, &str)] = &[
    ("malloc", "TCMallocInternalMalloc"),
    ("free", "TCMallocInternalFree"),
    ("realloc", "TCMallocInternalRealloc"),
    ("calloc", "TCMallocInternalCalloc"),
    ("cfree", "TCMallocInternalCfree"),
    ("memalign", "TCMallocInternalMemalign"),
    ("aligned_alloc", "TCMallocInternalAlignedAlloc"),
    ("valloc", "TCMallocInternalValloc"),
    ("pvalloc", "TCMallocInternalPvalloc"),
    ("posix_memalign", "TCMallocInternalPosixMemalign"),
    ("reallocarray", "TCMallocInternalReallocArray"),
    ("malloc_usable_size", "TCMallocInternalMallocSize"),
    ("malloc_trim", "TCMallocInternalMallocTrim"),
    ("free_sized", "TCMallocInternalFreeSized"),
    ("free_aligned_sized", "TCMallocInternalFreeAlignedSized"),
    ("_Znwm", "TCMallocInternalNew"),
    ("_Znam", "TCMallocInternalNewArray"),
    ("_ZnwmRKSt9nothrow_t", "TCMallocInternalNewNothrow"),
    ("_ZnamRKSt9nothrow_t", "TCMallocInternalNewArrayNothrow"),
    ("_ZnwmSt11align_val_t", "TCMallocInternalNewAligned"),
    ("_ZnamSt11align_val_t", "TCMallocInternalNewArrayAligned"),
    ("_ZnwmSt11align_val_tRKSt9nothrow_t", "TCMallocInternalNewAlignedNothrow"),
    ("_ZnamSt11align_val_tRKSt9nothrow_t", "TCMallocInternalNewArrayAlignedNothrow"),
    ("_ZdlPv", "TCMallocInternalDelete"),
    ("_ZdaPv", "TCMallocInternalDeleteArray"),
    ("_ZdlPvm", "TCMallocInternalDeleteSized"),
    ("_ZdaPvm", "TCMallocInternalDeleteArraySized"),
    ("_ZdlPvRKSt9nothrow_t", "TCMallocInternalDeleteNothrow"),
    ("_ZdaPvRKSt9nothrow_t", "TCMallocInternalDeleteArrayNothrow"),
    ("_ZdlPvSt11align_val_t", "TCMallocInternalDeleteAligned"),
    ("_ZdaPvSt11align_val_t", "TCMallocInternalDeleteArrayAligned"),
    ("_ZdlPvSt11align_val_tRKSt9nothrow_t", "TCMallocInternalDeleteAlignedNothrow"),
    ("_ZdaPvSt11align_val_tRKSt9nothrow_t", "TCMallocInternalDeleteArrayAlignedNothrow"),
    ("_ZdlPvmSt11align_val_t", "TCMallocInternalDeleteSizedAligned"),
    ("_ZdaPvmSt11align_val_t", "TCMallocInternalDeleteArraySizedAligned"),
];

/// The table.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "glibc",
        source: Source::Glibc,
        inside: Some(Inside { feature: "system", package: None }),
        env: &[],
    },
    Peer {
        name: BASE,
        source: Source::Package(Package {
            name: "libmimalloc-sys",
            compiler: "cc",
            root: "c_src/mimalloc/v3",
            files: &["src/static.c"],
            headers: &["include", "src"],
            flags: MIMALLOC,
            version: Some(Version {
                file: "include/mimalloc.h",
                mark: "#define MI_MALLOC_VERSION ",
            }),
        }),
        inside: Some(Inside { feature: "mimalloc", package: Some("libmimalloc-sys") }),
        env: &[],
    },
    Peer {
        name: OURS,
        source: Source::Allod,
        inside: Some(Inside { feature: "allod", package: None }),
        env: &[],
    },
    Peer {
        name: "mimalloc2",
        source: Source::Package(Package {
            name: "libmimalloc-sys",
            compiler: "cc",
            root: "c_src/mimalloc/v2",
            files: &["src/static.c"],
            headers: &["include", "src"],
            flags: MIMALLOC,
            version: Some(Version {
                file: "include/mimalloc.h",
                mark: "#define MI_MALLOC_VERSION ",
            }),
        }),
        inside: Some(Inside { feature: "mimalloc2", package: Some("libmimalloc-sys") }),
        env: &[],
    },
    Peer {
        name: "snmalloc",
        source: Source::Package(Package {
            name: "snmalloc-sys",
            compiler: "c++",
            root: "upstream/src",
            files: &["snmalloc/override/malloc.cc", "snmalloc/override/new.cc"],
            headers: &["."],
            flags: &[
                "-std=c++20",
                "-mcx16",
                "-fomit-frame-pointer",
                "-fvisibility=hidden",
                "-static-libstdc++",
                "-DSNMALLOC_USE_WAIT_ON_ADDRESS=1",
                "-DSNMALLOC_EXPORT=__attribute__((visibility(\"default\")))",
            ],
            version: None,
        }),
        inside: Some(Inside { feature: "snmalloc", package: Some("snmalloc-sys") }),
        env: &[],
    },
    Peer {
        name: "rpmalloc",
        source: Source::Package(Package {
            name: "rpmalloc-sys",
            compiler: "cc",
            root: "rpmalloc",
            files: &["rpmalloc/rpmalloc.c"],
            headers: &["rpmalloc"],
            flags: &[
                "-D_GNU_SOURCE",
                "-DENABLE_PRELOAD=1",
                "-DENABLE_OVERRIDE=1",
                "-Wno-attributes",
            ],
            version: Some(Version { file: "CHANGELOG", mark: "" }),
        }),
        inside: Some(Inside { feature: "rpmalloc", package: Some("rpmalloc-sys") }),
        env: &[],
    },
    Peer {
        name: "jemalloc",
        source: Source::Debian(Need {
            file: "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
            package: "libjemalloc2",
        }),
        inside: Some(Inside { feature: "jemalloc", package: Some("tikv-jemalloc-sys") }),
        env: &[],
    },
    Peer {
        name: "tcmalloc",
        source: Source::Archive(Archive {
            name: "libtcmalloc-sys",
            archive: "libtcmalloc.a",
            names: TCMALLOC,
        }),
        inside: Some(Inside { feature: "tcmalloc", package: Some("libtcmalloc-sys") }),
        // glibc takes the processor's restartable sequences for itself, and
        // without them the caches are per thread and not per processor.
        env: &[("GLIBC_TUNABLES", "glibc.pthread.rseq=0")],
    },
    Peer {
        name: "gperftools",
        source: Source::Debian(Need {
            file: "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
            package: "libtcmalloc-minimal4",
        }),
        inside: None,
        env: &[],
    },
    Peer {
        name: "scudo",
        source: Source::Debian(Need {
            file: "/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.scudo_standalone-x86_64.so",
            package: "libclang-rt-19-dev",
        }),
        inside: None,
        env: &[],
    },
];
