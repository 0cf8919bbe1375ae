/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_metadata - keys from what is beside us: the metadata service of a machine, or the agent of a container.
 *
 *     EC2         PUT /latest/api/token                              a token (version 2; version 1, without, is not asked)
 *                 GET /latest/meta-data/iam/security-credentials/    the name of the role
 *                 GET .../<role>                                     keys, in JSON
 *     container   GET <url>, with Authorization                      keys, in JSON
 *
 * The URL of a container may come from who starts us, so it is https, or this machine, or one of the addresses that ECS and
 * EKS have for it: keys, and the token that is sent there, cross no network in the clear.
 *
 * Source  "Use IMDSv2", "Container credential provider" of the AWS documentation.
 * Thread  any that may block.
 */
#pragma once

#include "s3/s3_identity.h"

/* ERROR_INVALID with what is allowed. */
bool s3_metadata_container_url(const struct s3_identity *identity, struct buf *into, struct error *err) MUST_CHECK;
bool s3_metadata_take_container(const struct s3_identity *identity, struct s3_loan *ret, struct error *err) MUST_CHECK;
bool s3_metadata_take_machine(const struct s3_identity *identity, struct s3_loan *ret, struct error *err) MUST_CHECK;
