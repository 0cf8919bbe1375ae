/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_retention - any JSON as storage.retention and as an entity's: refused with a word about what is wrong, or it decides of some tags.
 */
#include "common/buf.h"
#include "common/check.h"
#include "proto/retention_decide.h"

#define NOW_MS INT64_C(1800000000000)

/* Two tags of a manifest, one of an index that names it, and a referrer. */
static void decide(const struct retention *retention)
{
	static const size_t children[] = { 0 };
	const struct retention_facts known = { NOW_MS - 5000, NOW_MS - 1000 }, unknown = { -1, -1 };
	const struct retention_tag tags[] = { { "latest", 0, RETENTION_NONE, false, known },
		{ "v1.0-prod", 0, RETENTION_NONE, true, unknown }, { "v2", 1, RETENTION_NONE, false, known },
		{ "sha256-0.sig", 2, 1, false, known } };
	const struct retention_manifest manifests[] = { { .subject = RETENTION_NONE, .facts = known },
		{ .subject = RETENTION_NONE, .children = children, .children_len = 1, .facts = known },
		{ .subject = 1, .facts = known }, { .subject = RETENTION_GONE, .facts = known } };
	const struct retention_repository repository = { tags, 4, manifests, 4 };
	struct retention_terms terms = retention_terms(retention, STR("team/app"), 3600000);
	struct retention_verdict tag_verdicts[4], verdicts[4];

	retention_decide(&terms, &repository, NOW_MS, tag_verdicts, verdicts);
	CHECK(retention_keeps(tag_verdicts[1]) && retention_keeps(verdicts[0]));
	for (unsigned i = 0; i < 4; i++) {
		AUTO_FINI(buf) why = buf_limit(1024);

		CHECK(!retention_keeps(tag_verdicts[i]) || retention_keeps(verdicts[tags[i].manifest]));
		retention_explain(&terms, tag_verdicts[i], &why);
		retention_explain(&terms, verdicts[i], &why);
		CHECK(why.len && !why.failed);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from(data, size);
	AUTO(retention) *of_entity = NULL;
	AUTO(retention) *of_settings = NULL;
	AUTO(json_doc) *doc = NULL;
	struct error err;

	decide(NULL);
	if (retention_new_of_entity(&of_entity, text, &err))
		decide(of_entity);
	else
		CHECK(err.text[0]);
	if (!json_parse(text, &doc, NULL))
		return 0;
	if (retention_new(&of_settings, json_root(doc), &err))
		decide(of_settings);
	else
		CHECK(err.text[0]);
	return 0;
}
