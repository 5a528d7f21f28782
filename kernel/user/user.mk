# User programs. kernel/user/lib becomes an archive; each kernel/user/programs/NAME.cpp and grader/programs/NAME.cpp, or a folder NAME of
# .cpp files there, becomes build/user/bin/NAME, with what GDB wants to know beside it in NAME.debug. The grader's programs are on the
# disks of tests only: build/user/shipped has the others.
#
# A program sees of the kernel nothing but kernel/abi: build/user/include holds a link to that folder, and no other include path leads
# into the kernel.

USER_OUT := build/user
programs_in = $(sort $(basename $(notdir $(wildcard $(1)/*.cpp))) $(notdir $(patsubst %/,%,$(dir $(wildcard $(1)/*/*.cpp)))))
USER_OWN := $(call programs_in,kernel/user/programs)
USER_TESTS := $(call programs_in,grader/programs)
USER_TWICE := $(filter $(USER_OWN),$(USER_TESTS))
$(if $(USER_TWICE),$(error kernel/user/programs and grader/programs both have a program $(USER_TWICE): rename one))

# Not -ffreestanding: main() would be a function like any other then, with a name that start.cpp cannot know.
USER_FLAGS := -std=c++20 -fno-builtin -nostdlib -fno-exceptions -fno-rtti -fPIE -fvisibility=hidden -fno-stack-protector \
	-fno-threadsafe-statics -fno-asynchronous-unwind-tables -fno-omit-frame-pointer -fno-strict-aliasing -fcf-protection=none \
	-fno-tree-loop-distribute-patterns -ffunction-sections -fdata-sections -m32 -march=i686 -mno-sse -mno-mmx -O2 -g -Wall -Wextra -Werror \
	-I$(USER_OUT)/include -Ikernel/user/include
# -z text: a program whose text had to be patched for the place it is loaded at could share no page of it with anybody.
USER_LDFLAGS := -m elf_i386 -pie --no-dynamic-linker -z text -z norelro -z max-page-size=4096 --hash-style=sysv --build-id=none \
	--gc-sections -T kernel/user/program.ld

USER_LIBRARY_O := $(patsubst %,$(USER_OUT)/%.o,$(basename $(sort $(wildcard kernel/user/lib/*.cpp kernel/user/lib/*.S))))
USER_LIBRARY := $(USER_OUT)/libuser.a
# The objects of one program.
user_objects = $(patsubst %.cpp,$(USER_OUT)/%.o,\
	$(sort $(foreach folder,kernel/user grader,$(wildcard $(folder)/programs/$(1).cpp $(folder)/programs/$(1)/*.cpp))))

.PHONY: programs-built
programs-built: $(USER_OWN:%=$(USER_OUT)/bin/%) $(USER_TESTS:%=$(USER_OUT)/bin/%) $(USER_OWN:%=$(USER_OUT)/shipped/%)
	@rm -f $(filter-out $^ $(USER_OWN:%=$(USER_OUT)/bin/%.debug) $(USER_TESTS:%=$(USER_OUT)/bin/%.debug),\
		$(wildcard $(USER_OUT)/bin/* $(USER_OUT)/shipped/*))

$(USER_OUT)/include/abi: | kernel/abi
	@mkdir -p $(@D) && ln -sfn ../../../kernel/abi $@

$(USER_OUT)/%.o: %.cpp kernel/user/user.mk | $(USER_OUT)/include/abi
	$(call say,UCXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(USER_FLAGS) -MMD -MP -c $< -o $@

$(USER_OUT)/%.o: %.S kernel/user/user.mk | $(USER_OUT)/include/abi
	$(call say,UAS,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(USER_FLAGS) -MMD -MP -c $< -o $@

$(USER_LIBRARY): $(USER_LIBRARY_O)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(CROSS)ar rcs $@ $^

# What the loader and start.cpp would find out too late: a name that FAT cannot hold, text relocations, other relocations than the one.
define check_name
	@case "$(@F)" in ?????????*|*[!a-z0-9_]*) echo "$(@F): a program's name has up to 8 lower-case letters, digits, _" >&2; exit 1;; esac
endef
define link_program
	$(Q)$(LD) $(USER_LDFLAGS) $(filter %.o,$^) $(USER_LIBRARY) $(LIBGCC) -o $@.linked || \
		{ echo "$(@F): not linked. \"text relocations\" mean that its text refers to fixed addresses: compile all of it with -fPIE" >&2; exit 1; }
	$(Q)if $(CROSS)readelf -rW $@.linked | grep R_386_ | grep -v R_386_RELATIVE >&2; then \
		echo "$(@F): relocations that start.cpp does not know" >&2; exit 1; fi
	$(Q)$(CROSS)objcopy --only-keep-debug $@.linked $@.debug
	$(Q)$(CROSS)objcopy --strip-all $@.linked $@.stripped
	$(Q)$(CROSS)objcopy --add-gnu-debuglink=$@.debug $@.stripped && rm $@.linked && mv $@.stripped $@
endef

.SECONDEXPANSION:
$(USER_OUT)/bin/%: $$(call user_objects,$$*) $(USER_LIBRARY) kernel/user/program.ld
	$(call say,ULINK,$@)
	@mkdir -p $(@D)
	$(check_name)
	$(link_program)

$(USER_OUT)/shipped/%: $(USER_OUT)/bin/%
	@mkdir -p $(@D) && ln -f $< $@

USER_PROGRAM_O := $(foreach program,$(USER_OWN) $(USER_TESTS),$(call user_objects,$(program)))
.SECONDARY: $(USER_PROGRAM_O)
-include $(USER_LIBRARY_O:.o=.d) $(USER_PROGRAM_O:.o=.d)
