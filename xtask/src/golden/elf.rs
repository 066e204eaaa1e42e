//! A built program or library: its functions, and its thread-local segment.

use anyhow::{Context, Result, bail};
use iced_x86::{Instruction, OpKind};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationFlags, elf};
use std::path::{Path, PathBuf};

/// An ELF file in memory.
pub(super) struct Program {
    path: PathBuf,
    data: Vec<u8>,
}

impl Program {
    /// Reads the whole file, so that the next build may write over it.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let data =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path: path.to_path_buf(), data })
    }

    fn parsed(&self) -> Result<ElfFile64<'_, Endianness>> {
        ElfFile64::parse(self.data.as_slice())
            .with_context(|| format!("{} is no ELF file", self.path.display()))
    }

    /// Address and code of the function with this name.
    pub(super) fn function(&self, name: &str) -> Result<(u64, Vec<u8>)> {
        let file = self.parsed()?;
        let symbol = file
            .symbols()
            .chain(file.dynamic_symbols())
            .find(|symbol| symbol.is_definition() && symbol.name() == Ok(name))
            .with_context(|| format!("{} has no `{name}`", self.path.display()))?;
        let code = code_at(&file, symbol.address(), symbol.size());
        match code {
            Some(code) if !code.is_empty() => Ok((symbol.address(), code.to_vec())),
            _ => bail!("`{name}` in {} has no code", self.path.display()),
        }
    }

    /// Address and code of the function that begins at an address.
    pub(super) fn function_at(&self, address: u64) -> Result<(u64, Vec<u8>)> {
        let file = self.parsed()?;
        let symbol = file
            .symbols()
            .chain(file.dynamic_symbols())
            .find(|symbol| symbol.address() == address && symbol.size() > 0)
            .with_context(|| format!("{} has no function at {address:#x}", self.path.display()))?;
        let code = code_at(&file, address, symbol.size()).context("a function without code")?;
        Ok((address, code.to_vec()))
    }

    /// Bytes of the thread-local segment; zero when there is none.
    pub(super) fn tls_size(&self) -> Result<u64> {
        let file = self.parsed()?;
        let endian = file.endian();
        let tls = file.elf_program_headers().iter().find(|it| it.p_type(endian) == elf::PT_TLS);
        Ok(tls.map_or(0, |header| header.p_memsz(endian)))
    }

    /// Whether a call reaches a function that holds a lone `ret`.
    pub(super) fn is_marker(&self, call: &Instruction) -> bool {
        let Ok(file) = self.parsed() else { return false };
        let target = match call.op0_kind() {
            OpKind::NearBranch64 => Some(call.near_branch_target()),
            OpKind::Memory if call.is_ip_rel_memory_operand() => {
                pointer_at(&file, call.ip_rel_memory_address())
            }
            _ => None,
        };
        // `ret`, or `endbr64` and `ret`.
        let lone: [&[u8]; 2] = [&[0xc3], &[0xf3, 0x0f, 0x1e, 0xfa, 0xc3]];
        target.is_some_and(|target| {
            lone.iter().any(|code| code_at(&file, target, code.len() as u64) == Some(*code))
        })
    }
}

/// The bytes at an address, when one section holds them all.
fn code_at<'a>(file: &ElfFile64<'a, Endianness>, address: u64, size: u64) -> Option<&'a [u8]> {
    file.sections().find_map(|section| section.data_range(address, size).ok().flatten())
}

/// The pointer the loader puts at an address: the addend of a relative
/// relocation, or what the file holds there.
fn pointer_at(file: &ElfFile64<'_, Endianness>, address: u64) -> Option<u64> {
    let relative = RelocationFlags::Elf { r_type: elf::R_X86_64_RELATIVE };
    if let Some(mut relocations) = file.dynamic_relocations()
        && let Some((_, found)) = relocations.find(|(at, _)| *at == address)
    {
        return (found.flags() == relative).then_some(found.addend().cast_unsigned());
    }
    let bytes = code_at(file, address, 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
