/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings_retention.h"

#include "proto/retention.h"

bool settings_retention(const struct worker_settings *s, struct retention **ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;

	if (s->retention_text)
		return json_parse_own(str_of(s->retention_text), &doc, err) &&
		       retention_new(ret, json_root(doc), err);
	if (s->retention && json_kind(s->retention) != JSON_NULL)
		return retention_new(ret, s->retention, err);
	*ret = NULL;
	return true;
}

void settings_retention_check(const struct worker_settings *s, struct buf *errors)
{
	struct error err;

	for (size_t i = 0; i <= s->subs_len; i++) {
		AUTO(retention) *retention = NULL;

		if (settings_retention(i ? &s->subs[i - 1] : s, &retention, &err))
			continue;
		if (i)
			buf_format(errors, "storage.subPaths./%s.retention: %s\n", s->subs[i - 1].sub_path,
				err.text);
		else
			buf_format(errors, "storage.retention (ZOT_RETENTION): %s\n", err.text);
	}
}
