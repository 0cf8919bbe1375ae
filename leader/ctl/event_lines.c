/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ctl/event_lines.h"

#include <string.h>

void event_lines_init(
	struct event_lines *lines, void (*tell)(void *arg, const char *name, struct str data), void *arg)
{
	*lines = (struct event_lines){ .line = buf_limit(EVENT_LINE_MAX), .tell = tell, .arg = arg };
}

void event_lines_fini(struct event_lines *lines)
{
	buf_fini(&lines->line);
}

void event_lines_reset(struct event_lines *lines)
{
	buf_clear(&lines->line);
	lines->name[0] = '\0';
}

/* A name that is too long is nobody's. */
static void take_line(struct event_lines *lines, struct str line)
{
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	if (!line.len) {
		lines->name[0] = '\0';
	} else if (str_skip(&line, "event:")) {
		(void)str_skip(&line, " ");
		if (!str_copy(line, lines->name, sizeof(lines->name)))
			lines->name[0] = '\0';
	} else if (str_skip(&line, "data:") && lines->name[0]) {
		(void)str_skip(&line, " ");
		lines->tell(lines->arg, lines->name, line);
	}
}

bool event_lines_take(struct event_lines *lines, struct str piece, struct error *err)
{
	struct str line;

	while (str_until(&piece, '\n', &line)) {
		buf_add(&lines->line, line);
		if (!buf_check(&lines->line, "a line of an event", err))
			return false;
		take_line(lines, buf_str(&lines->line));
		buf_clear(&lines->line);
	}
	buf_add(&lines->line, piece);
	return buf_check(&lines->line, "a line of an event", err);
}
