#include "frontend/machine.h"

#include <chrono>

#include "bios/direct_boot/direct_boot.h"
#include "bios/firmware_image.h"

namespace ringshift::frontend {

namespace {

/// Everything that this host can execute, but for SMAP: each STAC and CLAC would change the address
/// space that translated code runs in, and a guest that has a choice shouldn't be led into it.
/// docs/decisions/0003.
cpu::CpuidModel machine_model() {
  cpu::CpuidModel model = cpu::CpuidModel::from_host();
  model.features.reset(static_cast<std::size_t>(cpu::Feature::Smap));
  return model;
}

}  // namespace

Machine::Machine(mmu::GuestMemory memory, MachineConfig config, RebootPolicy policy)
    : config_(std::move(config)),
      policy_(policy),
      memory_(std::move(memory)),
      model_(machine_model()),
      processor_memory_(map_, {model_.physical_address_bits}),
      platform_(time_, clock_) {
  time_.set_tsc_khz(model_.tsc_khz);
}

Machine::~Machine() = default;

Result<std::unique_ptr<Machine>> Machine::create(MachineConfig config, RebootPolicy policy,
                                                 const EngineMaker& maker) {
  // RAM and video memory, and room for the ROM images.
  const u64 capacity =
      config.memory + devices::Board::kVideoMemory + 2 * bios::FirmwareImage::kLargest;
  if (auto layout = bios::MemoryLayout::create(config.memory); !layout) return layout.error();
  auto memory = mmu::GuestMemory::create(capacity);
  if (!memory) return memory.error();
  std::unique_ptr<Machine> machine(new Machine(*std::move(memory), std::move(config), policy));
  if (auto assembled = machine->assemble(maker); !assembled) return assembled.error();
  return machine;
}

Result<void> Machine::assemble(const EngineMaker& maker) {
  const auto layout = bios::MemoryLayout::create(config_.memory);
  if (!layout) return layout.error();
  if (auto mapped = map_memory(*layout); !mapped) return mapped;
  auto video_rom = bios::load_expansion_rom(bios::kDefaultVideoRom);
  if (!video_rom) return video_rom.error();

  processor_ = std::make_unique<cpu::Processor>(processor_memory_, platform_, model_);
  processor_memory_.set_observer(processor_.get());
  auto board = devices::Board::create(
      config_.board,
      {clock_, wall_, memory_, map_, platform_, platform_, platform_, *this, config_.memory},
      *video_rom);
  if (!board) return board.error();
  board_ = *std::move(board);
  platform_.connect(*board_, *processor_);
  auto engine = maker(config_.engine, {*processor_, processor_memory_, map_, memory_});
  if (!engine) return engine.error();
  engine_ = *std::move(engine);
  if (auto configured = configure_firmware(*layout); !configured) return configured;
  reset(devices::ResetKind::PowerOn);
  return {};
}

Result<void> Machine::map_memory(const bios::MemoryLayout& layout) {
  auto ram = memory_.allocate(config_.memory, "RAM");
  if (!ram) return ram.error();
  map_.map_memory({0}, layout.low(), mmu::MemoryMap::Kind::Ram, "RAM", *ram, 0);
  if (layout.high() > 0) {
    map_.map_memory({bios::MemoryLayout::kHighRamFirst}, layout.high(), mmu::MemoryMap::Kind::Ram,
                    "RAM above 4 GiB", *ram, layout.low());
  }
  auto firmware =
      bios::FirmwareImage::load(config_.bios.empty() ? bios::kDefaultFirmware : config_.bios);
  if (!firmware) return firmware.error();
  return firmware->map(memory_, map_);
}

Result<void> Machine::configure_firmware(const bios::MemoryLayout& layout) {
  bios::FirmwareOptions options{.memory = layout};
  if (!config_.boot_order.empty()) options.boot_order = config_.boot_order;
  options.menu = config_.boot_menu;
  options.drives.hard_disks.clear();
  options.drives.cd_drives.clear();
  for (unsigned place = 0; place < config_.board.ide.size(); ++place) {
    const bios::IdePlace at{place / 2, place % 2};
    switch (config_.board.ide[place].kind) {
      case devices::IdeSlot::Kind::Disk:
        options.drives.hard_disks.push_back(at);
        break;
      case devices::IdeSlot::Kind::CdDrive:
        options.drives.cd_drives.push_back(at);
        break;
      case devices::IdeSlot::Kind::Empty:
        break;
    }
  }
  if (!config_.kernel.empty()) {
    auto boot = bios::load_direct_boot(config_.kernel, config_.initrds, config_.command_line,
                                       layout, bios::LongMode::Absent);
    if (!boot) return boot.error();
    options.direct_boot = *std::move(boot);
  }
  const bios::FirmwareItems items = bios::make_firmware_items(std::move(options));
  devices::FwCfg& target = board_->firmware_configuration();
  for (const auto& item : items.items) target.set_item(item.key, item.content);
  for (const auto& file : items.files) target.set_file(file.name, file.content);
  return {};
}

void Machine::reset(devices::ResetKind kind) {
  board_->reset(kind);
  processor_->reset();
}

/// An engine that doesn't poll is interrupted; the timer must be made on the vCPU's thread.
Result<void> Machine::prepare_deadlines() {
  if (engine_->polls_deadlines()) return {};
  auto timer = DeadlineTimer::create(time_, clock_, *processor_);
  if (!timer) return timer.error();
  deadline_timer_ = *std::move(timer);
  return {};
}

MachineEnd Machine::run() {
  if (const auto prepared = prepare_deadlines(); !prepared) {
    return {MachineEnd::Reason::HostFailure, 0, prepared.error().message, processor_->state};
  }
  while (!end_) {
    run_posted();
    clock_.run_due();
    handle_requests();
    if (end_) break;
    switch (run_engine()) {
      case cpu::Exit::Deadline:
        break;
      case cpu::Exit::Kicked:
        processor_->take_kick();
        break;
      case cpu::Exit::Halt:
        wait_for_event();
        break;
      case cpu::Exit::Shutdown:
        if (policy_ == RebootPolicy::End) end(MachineEnd::Reason::TripleFault);
        // The chipset answers the processor's shutdown cycle with a reset.
        reset_requested_ = true;
        break;
      case cpu::Exit::Failure:
        end_ =
            MachineEnd{MachineEnd::Reason::HostFailure, 0, engine_->failure(), processor_->state};
        break;
    }
  }
  deadline_timer_.reset();
  return *end_;
}

/// Whoever posts kicks first and then looks whether the engine runs; here it is the other way
/// round, so that one of the two notices the other.
cpu::Exit Machine::run_engine() {
  engine_runs_.store(true);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (deadline_timer_) deadline_timer_->engine_enters();
  const cpu::Exit exit = engine_->run();
  if (deadline_timer_) deadline_timer_->engine_leaves();
  engine_runs_.store(false, std::memory_order_release);
  return exit;
}

void Machine::post(std::function<void()> action) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(action));
  }
  processor_->kick();
  if (engine_runs_.load()) engine_->wake();
  posted_.notify_one();
}

void Machine::stop() {
  post([this] { end(MachineEnd::Reason::Stopped); });
}

void Machine::run_posted() {
  std::vector<std::function<void()>> actions;
  {
    const std::lock_guard lock(mutex_);
    actions.swap(queue_);
  }
  for (const auto& action : actions) action();
}

void Machine::wait_for_event() {
  const devices::Nanoseconds deadline = clock_.next_deadline();
  const devices::Nanoseconds now = clock_.now();
  if (deadline <= now) return;
  if (deadline_timer_) deadline_timer_->disarm();
  std::unique_lock lock(mutex_);
  const auto woken = [this] { return !queue_.empty(); };
  if (deadline == devices::kNever) {
    posted_.wait(lock, woken);
    return;
  }
  posted_.wait_for(lock, std::chrono::nanoseconds(deadline - now), woken);
}

void Machine::handle_requests() {
  if (!reset_requested_ || end_) return;
  reset_requested_ = false;
  reset(devices::ResetKind::System);
}

void Machine::end(MachineEnd::Reason reason, u32 value) {
  // The first cause stands: a guest that panics and then resets has panicked.
  if (!end_) end_ = MachineEnd{reason, value, {}, processor_->state};
}

void Machine::request_reset() {
  if (policy_ == RebootPolicy::End) end(MachineEnd::Reason::Reset);
  reset_requested_ = true;
  processor_->kick();
}

void Machine::request_power_off() {
  end(MachineEnd::Reason::PowerOff);
  processor_->kick();
}

void Machine::request_debug_exit(u32 value) {
  end(MachineEnd::Reason::DebugExit, value);
  processor_->kick();
}

void Machine::guest_panicked() {
  end(MachineEnd::Reason::Panic);
  processor_->kick();
}

void Machine::set_a20(bool enabled) {
  processor_memory_.set_a20(enabled);
}

}  // namespace ringshift::frontend
