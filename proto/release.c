/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/release.h"

#define NUMBER_MAX 9999

static bool take_number(struct str *text, unsigned *ret)
{
	uint64_t n;

	if (!str_number(text, NUMBER_MAX, &n))
		return false;
	*ret = (unsigned)n;
	return true;
}

bool release_parse(struct str text, struct release *ret)
{
	struct release found;

	if (!take_number(&text, &found.major) || !str_skip(&text, ".") || !take_number(&text, &found.minor) ||
		!str_skip(&text, ".") || !take_number(&text, &found.patch) || text.len)
		return false;
	*ret = found;
	return true;
}

bool release_works_with(const struct release *one, const struct release *other)
{
	return one->major == other->major && one->minor <= other->minor + 1 && other->minor <= one->minor + 1;
}
