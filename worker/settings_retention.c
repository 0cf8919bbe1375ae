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

static void name(const struct worker_settings *sub, struct buf *into)
{
	if (sub)
		buf_format(into, "storage.subPaths./%s.retention: ", sub->sub_path);
	else
		buf_puts(into, "storage.retention (ZOT_RETENTION): ");
}

void settings_retention_check(const struct worker_settings *s, struct buf *warnings, struct buf *errors)
{
	for (size_t i = 0; i <= s->subs_len; i++) {
		const struct worker_settings *sub = i ? &s->subs[i - 1] : NULL;
		AUTO(retention) *retention = NULL;
		struct error err;
		size_t at;

		if (!settings_retention(sub ? sub : s, &retention, &err)) {
			name(sub, errors);
			buf_format(errors, "%s\n", err.text);
			continue;
		}
		at = retention_policy_for_none(retention);
		if (at == SIZE_MAX)
			continue;
		name(sub, warnings);
		buf_format(warnings,
			"policies[%zu] names no repositories, so it is for none; \"**\" is every "
			"repository\n",
			at);
	}
}
