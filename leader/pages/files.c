/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/pages/files.h"

#include "common/check.h"

/* The assembler takes the bytes as they are; files.def is made by the build. */
#define PAGE(number, name, path)                                                                             \
	__asm__(".pushsection .rodata\n"                                                                     \
		".global zot_page_" #number "\n"                                                             \
		".global zot_page_end_" #number "\n"                                                         \
		"zot_page_" #number ":\n"                                                                    \
		".incbin \"" path "\"\n"                                                                     \
		"zot_page_end_" #number ":\n"                                                                \
		".byte 0\n"                                                                                  \
		".popsection");                                                                              \
	extern const char zot_page_##number[], zot_page_end_##number[];
#include "leader/pages/files.def"
#undef PAGE

static const struct {
	const char *name, *at, *end;
} files[] = {
#define PAGE(number, name, path) { name, zot_page_##number, zot_page_end_##number },
#include "leader/pages/files.def"
#undef PAGE
};

size_t pages_files(void)
{
	return sizeof(files) / sizeof(files[0]);
}

struct pages_file pages_file(size_t at)
{
	CHECK(at < pages_files());
	return (struct pages_file){ files[at].name,
		str_from(files[at].at, (size_t)(files[at].end - files[at].at)) };
}
