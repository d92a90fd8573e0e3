/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube_yaml.h - the YAML that kubectl writes into a kubeconfig, or JSON, into a cJSON tree.
 *
 * Accepted: one document of block mappings and block sequences (indented by spaces), plain
 * scalars on one line, 'single' and "double" quoted ones on one line (escapes \" \\ \/ \n \t \r),
 * the empty {} and [], comments. A text that begins with { is JSON. Plain null and ~ are null, true
 * and false are bool, everything else is text: numbers too. Refused with the line's number: everything
 * else that YAML knows (anchors, tags, flow collections with something in them, block scalars, tabs,
 * more documents, duplicate keys), since a guess might read another meaning than kubectl does. Pure.
 */
#ifndef ARCHAIC_KUBE_YAML_H
#define ARCHAIC_KUBE_YAML_H

#include <cjson/cJSON.h>
#include <stddef.h>

#define KUBE_YAML_MAX (256u << 10) /* bytes of a text */
#define KUBE_YAML_LINES_MAX 4096   /* that say something */
#define KUBE_YAML_DEPTH_MAX 12

/**
 * kube_yaml_parse() - the whole text. @ret: owned by the caller, on success only.
 * @why: one sentence with the line, on failure. 0, -EINVAL, -EMSGSIZE or -ENOMEM.
 */
int kube_yaml_parse(const char *text, size_t len, cJSON **ret, char *why, size_t why_size);

#endif
