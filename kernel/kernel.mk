# How the kernel is built, for one PROFILE. `default` takes your configuration, build/.config; every other takes
# kernel/configs/PROFILE.config and has the grader's guest inside. Submissions are judged with GRADED_PROFILES; the no-* profiles
# each have one option off. Everything lands in build/PROFILE.

PROFILE ?= default
OUT := build/$(PROFILE)
CONFIGURATION := $(if $(filter default,$(PROFILE)),build/.config,kernel/configs/$(PROFILE).config)

# What submissions are judged with: nearly all tests boot `grading`, those of speed a kernel without debugging.
GRADED_PROFILES := grading no-memory-debugging
# In a student's tree, the reference pieces that fit this configuration.
PREBUILT := $(if $(filter $(PROFILE),$(GRADED_PROFILES)),$(PROFILE),$(if $(shell grep -s 'MEMORY_DEBUGGING is not set' $(CONFIGURATION)),no-memory-debugging,grading))

CROSS ?= i686-linux-gnu-
CXX := $(CROSS)g++
LD := $(CROSS)ld

# -freg-struct-return: a Result of one or two words comes back in EAX and EDX, not through memory.
FLAGS := -std=c++20 -ffreestanding -nostdlib -fno-exceptions -fno-rtti -fno-pic -fno-pie -fno-stack-protector \
	-fno-threadsafe-statics -fno-asynchronous-unwind-tables -freg-struct-return -fno-omit-frame-pointer -fno-strict-aliasing -fcf-protection=none \
	-m32 -march=i686 -mno-sse -mno-mmx -O2 -g -Wall -Wextra -Ikernel -I$(OUT)/generated

# For the kit's own code. A submission may compile with warnings: it is judged by what it does.
STRICT := -Werror

# The reference pieces, and the labs whose piece comes from SUBMISSION instead: PIECES="01-frames 02-paging", or "frames".
LABS := $(sort $(notdir $(wildcard labs/[0-9]*)))
SUBMISSION_PIECES := $(foreach piece,$(PIECES),$(or $(filter $(piece) %-$(piece),$(LABS)),\
	$(error PIECES: there is no lab "$(piece)"; there are: $(LABS))))
PIECE_SOURCE := $(if $(SUBMISSION),$(patsubst %/,%,$(SUBMISSION)),labs)
# The object of one file of one piece: the submission's, the reference's, or in a student's tree, which has no solutions/, the
# reference as it was handed out.
reference_object = $(if $(wildcard solutions/$(1)),$(OUT)/reference,grader/prebuilt/$(PREBUILT))/$(1)/$(2:.cpp=.o)
piece_object = $(if $(filter $(1),$(SUBMISSION_PIECES)),$(OUT)/submission/$(PIECE_SOURCE)/$(1)/$(2:.cpp=.o),$(reference_object))

# Two labs may write the same file: 01-frames and 03-buddy both write frame_allocator.cpp. One of them is linked: the
# submission's, where PIECES names only one of the two; otherwise the later lab's, which does more.
PIECE_FILES := $(sort $(notdir $(wildcard labs/[0-9]*/*.cpp)))
labs_with = $(sort $(patsubst labs/%/$(1),%,$(wildcard labs/[0-9]*/$(1))))
lab_for = $(lastword $(or $(filter $(SUBMISSION_PIECES),$(labs_with)),$(labs_with)))
PIECES_O := $(foreach file,$(PIECE_FILES),$(strip $(call piece_object,$(call lab_for,$(file)),$(file))))
REFERENCE_O := $(foreach file,$(PIECE_FILES),$(foreach lab,$(call labs_with,$(file)),$(strip $(call reference_object,$(lab),$(file)))))

# User programs are not linked with the kernel: kernel/user/user.mk builds them.
KERNEL_SOURCES := $(sort $(shell find kernel -path kernel/user -prune -o \( -name '*.cpp' -o -name '*.S' \) -print))
GUEST_SOURCES := $(if $(filter-out default,$(PROFILE)),$(sort $(wildcard grader/guest/*.cpp)))
OBJECTS := $(addprefix $(OUT)/,$(addsuffix .o,$(basename $(KERNEL_SOURCES) $(GUEST_SOURCES))))

.PHONY: kernel-elf kernel-grading
kernel-elf: $(OUT)/kernel.elf
	@:
kernel-grading: $(OUT)/kernel.o $(REFERENCE_O) $(OUT)/flags.txt
	@:

$(OUT)/generated/config.h: $(CONFIGURATION) kernel/Kconfig kernel/tools/config.py
	@/usr/bin/python3 kernel/tools/config.py $< $@ && touch $@

build/.config:
	@mkdir -p build && cp kernel/configs/defconfig $@

# Compiles, or takes what another profile has of the same text; and writes what the object depends on.
compile = $(Q)kernel/tools/compile.sh $(OUT) -c $< -o $@ $(CXX) $(FLAGS)

$(OUT)/%.o: %.cpp kernel/kernel.mk $(OUT)/generated/config.h
	$(call say,CXX,$<)
	$(compile) $(STRICT) -Igrader

$(OUT)/%.o: %.S kernel/kernel.mk $(OUT)/generated/config.h
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(FLAGS) -MMD -MP -c $< -o $@

$(OUT)/reference/%.o: solutions/%.cpp kernel/kernel.mk $(OUT)/generated/config.h
	$(call say,CXX,$<)
	$(compile) $(STRICT)

$(OUT)/submission/%.o: %.cpp kernel/kernel.mk $(OUT)/generated/config.h
	$(call say,CXX,$<)
	$(compile)

# All but the pieces, so that a submission is judged after compiling its own files only.
$(OUT)/kernel.o: $(OBJECTS)
	$(call say,LD,$@)
	$(Q)$(LD) -m elf_i386 -r $^ -o $@

# Linked twice: the symbol table of the backtraces is made from the first link and placed by the second.
LIBGCC := $(shell $(CXX) -m32 -print-libgcc-file-name 2>/dev/null)
$(OUT)/kernel.elf: $(OUT)/kernel.o $(PIECES_O) kernel/link.ld kernel/tools/symbols.py $(OUT)/pieces.txt
	$(call say,LINK,$@)
	$(Q)$(LD) -m elf_i386 -T kernel/link.ld $(OUT)/kernel.o $(PIECES_O) $(LIBGCC) -o $(OUT)/kernel.first.elf
	$(Q)/usr/bin/python3 kernel/tools/symbols.py $(OUT)/kernel.first.elf $(OUT)/symbols.o
	$(Q)$(LD) -m elf_i386 -T kernel/link.ld $(OUT)/kernel.o $(PIECES_O) $(OUT)/symbols.o $(LIBGCC) -o $@

# Rewritten only when other pieces are chosen, so that the kernel is linked again then.
.PHONY: FORCE
$(OUT)/pieces.txt: FORCE
	@mkdir -p $(@D); echo '$(PIECES_O)' | cmp -s - $@ || echo '$(PIECES_O)' > $@

# One argument a line: the grader compiles submissions with exactly these.
$(OUT)/flags.txt: kernel/kernel.mk Makefile
	@mkdir -p $(@D); printf '%s\n' $(FLAGS) > $@

-include $(OBJECTS:.o=.d) $(sort $(PIECES_O:.o=.d) $(REFERENCE_O:.o=.d))

include kernel/user/user.mk
