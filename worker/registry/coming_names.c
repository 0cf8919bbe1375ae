/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/coming_names.h"

#include <inttypes.h>

#include "common/buf.h"

static bool parse_line(struct str line, struct coming_name *ret)
{
	struct str number;
	uint64_t until;

	if (!str_until(&line, ' ', &number) || !str_to_number(number, COMING_UNTIL_MAX, &until) ||
		!name_parse(line, &ret->name, NULL))
		return false;
	ret->until_s = (int64_t)until;
	return true;
}

bool coming_names_next(struct str *text, struct coming_name *ret)
{
	struct str line;

	while (str_until(text, '\n', &line))
		if (parse_line(line, ret))
			return true;
	return false;
}

void coming_names_put(struct buf *into, struct str name, int64_t until_s)
{
	buf_format(into, "%" PRId64 " %.*s\n", until_s, STR_ARGS(name));
}
