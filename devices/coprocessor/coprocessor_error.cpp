#include "devices/coprocessor/coprocessor_error.h"

namespace ringshift::devices {

void CoprocessorError::reset(ResetKind) {
  ferr_ = false;
  ignore_ = false;
  irq_.lower();
}

void CoprocessorError::serialize(StateArchive& archive) {
  archive.section("coprocessor error", 1);
  archive.field("ferr", ferr_);
  archive.field("ignore", ignore_);
  bool level = irq_.level();
  archive.field("irq", level);
  if (archive.restoring()) irq_.restore_level(level);
}

void CoprocessorError::io_write(u64 offset, u64, unsigned) {
  if (offset != 0) return;
  irq_.lower();
  ignore_ = ferr_;
}

void CoprocessorError::set_ferr(bool asserted) {
  if (asserted == ferr_) return;
  ferr_ = asserted;
  if (asserted) {
    if (!ignore_) irq_.raise();
  } else {
    ignore_ = false;
  }
}

}  // namespace ringshift::devices
