# What the host tests are linked with, for one COMPILER and one PROFILE (kernel/configs/PROFILE.config). grader/unit/unit.py runs
# this, and then compiles only the piece: see `make unit`.
#
# FUZZ=1 makes the fuzz targets instead: clang++ only.
#
# Per lab: support.o, with everything but the piece; flags.txt, one argument a line, with which the piece is compiled.
COMPILER ?= g++
PROFILE ?= grading
BUILD ?= build
OUT := $(BUILD)/unit/$(COMPILER)/$(PROFILE)$(if $(filter 1,$(FUZZ)),-fuzz)

Q := $(if $(filter 1,$(V)),,@)
say = @$(if $(filter 1,$(V)),:,printf '  %-5s %s\n' "$(1)" "$(2)")

# Pointers have 64 bits here, and all memory that is managed lies below 4 GiB: a number becomes a pointer without loss.
PLAIN := -std=c++20 -g -fno-pie -fno-omit-frame-pointer -fno-strict-aliasing -Wall -Wextra -Wno-int-to-pointer-cast -Ikernel \
	-I$(OUT)/generated
FLAGS := $(PLAIN) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all

# What is watched is the piece and the kernel under it. The tests themselves need not be, and are compiled four times as fast;
# the models run faster.
TESTS := $(wildcard grader/unit/test_*.cpp) grader/unit/host/runner.cpp
MODELS := $(wildcard grader/unit/host/*_driver.cpp) grader/unit/host/map_model.cpp grader/unit/host/frames.cpp grader/unit/host/paging_request.cpp
flags_of = $(if $(filter $(TESTS),$(1)),$(PLAIN) -O0,$(if $(filter $(MODELS),$(1)),$(PLAIN) -O1,$(FLAGS)))
# The fuzzer follows the piece's code only: what is around it would be slower, and draw its attention away.
PIECE_FLAGS := $(FLAGS) $(if $(filter 1,$(FUZZ)),-fsanitize=fuzzer-no-link)

HOST := arena kernel_lib machine paging sanitizers
KERNEL := lib/error lib/format lib/text mm/physical/frame_memory mm/physical/frame_table mm/physical/single_frames

FUZZ_FRAMES := $(if $(filter 1,$(FUZZ)),grader/unit/fuzz_frames)

SOURCES_01-frames := grader/unit/test_memory_map grader/unit/test_frames grader/unit/test_single_frames \
	grader/unit/host/map_model grader/unit/host/frames_driver $(FUZZ_FRAMES)
SOURCES_02-paging := grader/unit/test_paging grader/unit/host/frames \
	grader/unit/host/paging_driver grader/unit/host/paging_request
SOURCES_03-buddy := grader/unit/test_frames grader/unit/test_buddy grader/unit/host/frames_driver $(FUZZ_FRAMES)
SOURCES_04-heap := grader/unit/test_slab grader/unit/test_kmalloc grader/unit/test_pool \
	grader/unit/host/frames grader/unit/host/vmalloc grader/unit/host/heap_driver kernel/mm/heap/finding kernel/mm/heap/pool
SOURCES_05-spaces := grader/unit/test_areas grader/unit/host/frames grader/unit/host/heap grader/unit/host/areas_driver
SOURCES_06-faults := grader/unit/test_faults grader/unit/host/frames grader/unit/host/fault_space grader/unit/host/faults_driver
SOURCES_07-cow := grader/unit/test_cow grader/unit/host/frames grader/unit/host/cow_space grader/unit/host/cow_driver
SOURCES_09-swap := grader/unit/test_swap grader/unit/host/frames grader/unit/host/vmalloc grader/unit/host/heap grader/unit/host/cow_space \
	grader/unit/host/swap_space grader/unit/host/swap_driver
SOURCES_10-replace := grader/unit/test_policy grader/unit/host/frames grader/unit/host/heap grader/unit/host/vmalloc grader/unit/host/policy_driver

objects = $(patsubst %,$(OUT)/%.o,$(HOST:%=grader/unit/host/%) $(KERNEL:%=kernel/%) $(if $(filter 1,$(FUZZ)),\
	grader/unit/fuzz_$(1) $(filter-out grader/unit/test_%,$(SOURCES_$(1))),grader/unit/host/runner $(SOURCES_$(1))))

LABS := 01-frames 02-paging 03-buddy 04-heap 05-spaces 06-faults 07-cow 09-swap 10-replace
LAB ?= $(LABS)

.PHONY: support
support: $(LAB:%=$(OUT)/%/support.o) $(OUT)/flags.txt
	@:

define lab_rule
$(OUT)/$(1)/support.o: $(call objects,$(1)) $(OUT)/flags.txt
	@mkdir -p $$(@D)
	$$(Q)ld -r $$(filter %.o,$$^) -o $$@
endef
$(foreach lab,$(LABS),$(eval $(call lab_rule,$(lab))))

$(OUT)/generated/config.h: kernel/configs/$(PROFILE).config kernel/Kconfig kernel/tools/config.py
	@/usr/bin/python3 kernel/tools/config.py $< $@ && touch $@

$(OUT)/flags.txt: grader/unit/unit.mk
	@mkdir -p $(@D); printf '%s\n' $(PIECE_FLAGS) > $@

$(OUT)/%.o: %.cpp grader/unit/unit.mk $(OUT)/generated/config.h
	$(call say,HOST,$<)
	$(Q)kernel/tools/compile.sh $(OUT) -c $< -o $@ $(COMPILER) $(call flags_of,$<) -Werror -Igrader/unit

-include $(foreach lab,$(LABS),$(patsubst %.o,%.d,$(call objects,$(lab))))
