/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/verify.h"

#include "common/setting_files.h"
#include "common/tls_files.h"
#include "leader/dump.h"
#include "leader/settings.h"

static bool check_address(const struct leader_settings *s, struct error *err)
{
	return setting_check_address(s->address, "http.address (ZOT_LEADER_ADDRESS)", err);
}

static bool check_tls(const struct leader_settings *s, struct error *err)
{
	const struct tls_paths paths = { .cert = s->tls_cert, .key = s->tls_key };

	return tls_files_check(&paths, err) || error_add(err, "http.tls (ZOT_TLS_CERT, ZOT_TLS_KEY)");
}

static bool check_data(const struct leader_settings *s, struct error *err)
{
	return setting_check_folder(s->data, "data (ZOT_LEADER_DATA)", err);
}

static bool check_dump(const struct leader_settings *s, struct error *err)
{
	return setting_check_own_file(
		s->dump_path, DUMP_BEGINS, "cluster.leader.stateDumpPath (CLUSTER_LEADER_DUMP_PATH)", err);
}

void leader_verify(const struct leader_settings *settings, struct buf *errors)
{
	static bool (*const checks[])(const struct leader_settings *s, struct error *err) = { check_address,
		check_tls, check_data, check_dump };

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct error err;

		if (!checks[i](settings, &err))
			buf_format(errors, "%s\n", err.text);
	}
}
