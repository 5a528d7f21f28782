# Faultline. `make` alone prints the targets.
.DEFAULT_GOAL := help
.SUFFIXES:

# Quiet unless V=1.
Q := $(if $(filter 1,$(V)),,@)
say = @$(if $(filter 1,$(V)),:,printf '  %-5s %s\n' "$(1)" "$(2)")

include kernel/kernel.mk

FAULTLINE := grader/faultline
JOBS ?= $(shell nproc)
LAB ?= all

.PHONY: help
help: ## this list
	@echo "Faultline: kernel memory management, from page tables to verdicts."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  V=1 shows the commands. More: README.md"

.PHONY: setup needed
setup: ## install what is missing (Debian packages; root or sudo)
	@grader/setup

# Without the packages that only `make unit` and `make fuzz` use.
needed:
	@grader/setup --without unit

.PHONY: kernel
kernel: needed ## build the kernel and its programs: build/default/kernel.elf, build/user [PIECES="01-frames"] [SUBMISSION=dir]
	@$(MAKE) --no-print-directory -j$(JOBS) kernel-elf programs-built

.PHONY: grading-kernel
grading-kernel: programs ## build what submissions are linked with: build/grading, build/no-memory-debugging
	@for profile in $(GRADED_PROFILES); do \
		$(MAKE) --no-print-directory -j$(JOBS) PROFILE=$$profile PIECES= SUBMISSION= kernel-grading || exit; done

.PHONY: programs
programs: needed ## build the user programs: build/user/bin
	@$(MAKE) --no-print-directory -j$(JOBS) programs-built

.PHONY: grade
grade: grading-kernel ## grade a submission [SUBMISSION=labs] [LAB=all] [SEED=n] [ARGS=...]
	@$(FAULTLINE) grade $(LAB) $(if $(SUBMISSION),--submission $(SUBMISSION)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: view
view: grading-kernel ## page tables and frame map as pictures [LAB=02-paging] [SUBMISSION=dir]
	@$(FAULTLINE) view $(or $(filter-out all,$(LAB)),02-paging) $(ARGS) $(if $(SUBMISSION),--submission $(SUBMISSION))

.PHONY: debug
debug: grading-kernel ## GDB on the emulated machine [LAB=02-paging] [TEST=id] [SUBMISSION=dir] [GDBFLAGS=...]
	@$(FAULTLINE) debug $(or $(filter-out all,$(LAB)),02-paging) $(TEST) $(if $(SUBMISSION),--submission $(SUBMISSION)) $(ARGS)

.PHONY: run
run: kernel ## boot the kernel, console in this terminal [EMU=qemu] [MEM=64] [SWAP=16] [APPEND=...] [PIECES=...]
	@grader/emulator/run.py --elf $(OUT)/kernel.elf --emulator $(or $(EMU),bochs) --memory $(or $(MEM),64) --swap $(or $(SWAP),16) --append "$(APPEND)" --programs build/user/shipped

.PHONY: unit
unit: setup ## the pieces' tests on this computer, in a second, with sanitizers [LAB=all] [SUBMISSION=labs] [COMPILER=clang++] [ARGS=...]
	@/usr/bin/python3 grader/unit/unit.py $(LAB) $(if $(SUBMISSION),--submission $(SUBMISSION)) $(if $(COMPILER),--compiler $(COMPILER)) $(ARGS)

.PHONY: fuzz
fuzz: setup ## a fuzzer looks for calls that break a piece [LAB=all] [SUBMISSION=labs] [SECONDS=20]
	@/usr/bin/python3 grader/unit/fuzz.py $(LAB) $(if $(SUBMISSION),--submission $(SUBMISSION)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

.PHONY: fuzz-syscalls
fuzz-syscalls: needed ## a million random system calls: no panic, no frame lost [COUNT=1000000] [SEED=n]
	@$(MAKE) --no-print-directory -j$(JOBS) PROFILE=grading PIECES= build/grading/kernel.elf programs-built
	@/usr/bin/python3 grader/fuzz_syscalls.py $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: test
test: setup docs ## all tests: kernel, grader, labs, the corpus, the docs
	@test -d grader/tests || { echo "make test: this is a student's tree, without the grader's own tests; \`make grade\` judges your labs" >&2; exit 1; }
	@$(MAKE) --no-print-directory -j$(JOBS) kernel-elf
	@$(MAKE) --no-print-directory grading-kernel
	@/usr/bin/python3 -m pytest -n $(JOBS) grader/tests $(ARGS)

.PHONY: corpus
corpus: grading-kernel ## every submission of grader/corpus through every test of its lab, about 40 minutes [ARGS="-k buddy"]
	@FAULTLINE_CORPUS=all /usr/bin/python3 -m pytest -n $(JOBS) grader/tests/test_corpus.py $(ARGS)

.PHONY: torture
torture: kernel grading-kernel ## programs under memory pressure: a page leaves for every N-th frame, and nobody notices [N=1]
	@/usr/bin/python3 grader/torture.py $(or $(N),1) --jobs $(JOBS)

.PHONY: bench
bench: needed ## figures: ticks of the allocators and of system calls, milliseconds of a boot
	@for profile in grading no-memory-debugging; do \
		$(MAKE) --no-print-directory -j$(JOBS) PROFILE=$$profile PIECES= build/$$profile/kernel.elf || exit; done
	@$(MAKE) --no-print-directory -j$(JOBS) programs-built
	@/usr/bin/python3 grader/bench.py

.PHONY: profile
profile: needed ## where the ticks of one row of `make bench` go [OF=copy-on-write]
	@$(MAKE) --no-print-directory -j$(JOBS) PROFILE=no-memory-debugging PIECES= build/no-memory-debugging/kernel.elf programs-built
	@/usr/bin/python3 grader/tick_profile.py $(or $(OF),copy-on-write) $(ARGS)

.PHONY: docs
docs: needed ## the book: build/docs/html/index.html
	$(call say,DOCS,build/docs)
	@mkdir -p build/docs
	$(Q)doxygen docs/Doxyfile

.PHONY: session
session: kernel ## record the page docs/session.md anew, at the shell of a real boot
	@test -d grader/tests || { echo "make session: this is a student's tree, without what records the page" >&2; exit 1; }
	@/usr/bin/python3 grader/tests/session_page.py

.PHONY: menuconfig defconfig
menuconfig: needed build/.config ## choose the kernel's options
	@KCONFIG_CONFIG=build/.config /usr/bin/python3 -m menuconfig kernel/Kconfig
defconfig: ## take the default options back
	@mkdir -p build && cp kernel/configs/defconfig build/.config

.PHONY: student-tree
student-tree: grading-kernel ## the tree to hand out: all but the solutions, reference pieces as objects FOLDER=dir
	@grader/student_tree.py "$(FOLDER)"

.PHONY: doctor
doctor: ## what is missing on this machine, and how to get it
	@$(FAULTLINE) doctor

.PHONY: clean
clean: ## remove build/
	@rm -rf build
