#include "cpu/state.h"

namespace ringshift::cpu {

void SegmentRegister::serialize(StateArchive& archive) {
  archive.field("selector", selector);
  archive.field("base", base);
  archive.field("limit", limit);
  archive.field("type", type);
  archive.field("dpl", dpl);
  archive.field("code_or_data", code_or_data);
  archive.field("present", present);
  archive.field("available", available);
  archive.field("long_mode", long_mode);
  archive.field("big", big);
  archive.field("granular", granular);
}

void TableRegister::serialize(StateArchive& archive) {
  archive.field("base", base);
  archive.field("limit", limit);
}

namespace {

void serialize_model_specific(State& state, StateArchive& archive) {
  archive.field("sysenter_cs", state.sysenter_cs);
  archive.field("sysenter_esp", state.sysenter_esp);
  archive.field("sysenter_eip", state.sysenter_eip);
  archive.field("pat", state.pat);
  archive.field("misc_enable", state.misc_enable);
  archive.field("tsc_offset", state.tsc_offset);
  archive.field("tsc_adjust", state.tsc_adjust);
  archive.field("tsc_aux", state.tsc_aux);
  archive.field("mtrr_default_type", state.mtrr_default_type);
  archive.field("mtrr_variable", state.mtrr_variable);
  archive.field("mtrr_fixed", state.mtrr_fixed);
  archive.field("microcode_revision", state.microcode_revision);
  archive.field("debug_control", state.debug_control);
  archive.field("mcg_status", state.mcg_status);
}

}  // namespace

void State::serialize(StateArchive& archive) {
  archive.section("processor", 1);
  archive.field("gpr", gpr);
  archive.field("rip", rip);
  archive.field("rflags", rflags);
  archive.field("segments", segments);
  archive.field("ldtr", ldtr);
  archive.field("tr", tr);
  archive.field("gdtr", gdtr);
  archive.field("idtr", idtr);
  archive.field("cpl", cpl);
  archive.field("cr0", cr0);
  archive.field("cr2", cr2);
  archive.field("cr3", cr3);
  archive.field("cr4", cr4);
  archive.field("efer", efer);
  archive.field("xcr0", xcr0);
  archive.field("pdpte", pdpte);
  archive.field("dr", dr);
  archive.field("activity", activity);
  archive.field("sti_shadow", sti_shadow);
  archive.field("mov_ss_shadow", mov_ss_shadow);
  archive.field("nmi_pending", nmi_pending);
  archive.field("nmi_blocked", nmi_blocked);
  archive.field("pending_debug", pending_debug);
  serialize_model_specific(*this, archive);
  archive.field("legacy", extended.legacy);
  archive.field("header", extended.header);
  archive.field("ymm_high", extended.ymm_high);
  if (archive.restoring() && (cpl > 3 || activity > Activity::Shutdown)) {
    archive.refuse("snapshot has an impossible processor state");
  }
}

}  // namespace ringshift::cpu
