/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/journal.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/file.h"
#include "common/log.h"

static void add(struct usage_push **list, size_t *len, const struct usage_push *push)
{
	struct usage_push *grown = xnew_array(struct usage_push, *len + 1);

	for (size_t i = 0; i < *len; i++)
		grown[i] = (*list)[i];
	grown[*len] = *push;
	free(*list);
	*list = grown;
	(*len)++;
}

bool journal_load(const char *path, struct usage_push **ret_list, size_t *ret_len, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(JOURNAL_MAX);
	struct error why;
	struct str rest, line;

	file_tighten(path);
	if (!file_read(path, &text, &why)) {
		if (why.kind == ERROR_UNKNOWN)
			return true;
		if (err)
			*err = why;
		return false;
	}
	for (rest = buf_str(&text); str_until(&rest, '\n', &line);) {
		struct usage_push push = { 0 };
		if (usage_push_parse(line, &push, &why))
			add(ret_list, ret_len, &push);
		else
			log_warn("journal.line", "path=%s error=%s ignoring", log_quote(str_of(path)),
				log_quote(str_of(why.text)));
	}
	return true;
}

bool journal_save(const char *path, struct str lines, struct error *err)
{
	return file_write_durable(path, lines, 0600, err);
}
