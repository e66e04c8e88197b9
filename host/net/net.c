#include "net/net.h"

#include "base/error.h"
#include "base/log.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The fields behind the keys that every layer has. */
struct common {
    const char *name, *input, *from;
};

#define FIELD(name) offsetof(struct common, name)

const struct option layer_option_table[] = {
    {"name", "of the layer, for `input`, `from`, --set and the weights file", OPTION_STRING,
     FIELD(name), NULL, 0, 0, NULL},
    {"input", "the layer whose output comes in: its name, its number from 0, or -1 for the last",
     OPTION_STRING, FIELD(input), NULL, 0, 0, NULL},
    {"from", "the second layer whose output comes in, where the type takes two", OPTION_STRING,
     FIELD(from), NULL, 0, 0, NULL},
    {0},
};

static const char *const net_names[] = {"net", "network", NULL};
static const char *const data_names[] = {"data", NULL};

static int is_one_of(const char *name, const char *const *names) {
    for (; *names; names++) {
        if (strcmp(name, *names) == 0)
            return 1;
    }
    return 0;
}

/* Puts file, line and section in front of a message "key: what is wrong". */
static int blame(int code, const struct net *net, const struct config_section *section) {
    char key[64];
    const char *message = error_message();
    size_t length = strcspn(message, ":");
    if (length >= sizeof key)
        length = 0;
    memcpy(key, message, length);
    key[length] = '\0';
    return config_blame(code, net->config, section, key);
}

static int fail(const struct net *net, const struct config_section *section, const char *message) {
    return blame(error_set(ERROR_INPUT, "%s", message), net, section);
}

static int unknown_section(const struct net *net, const struct config_section *section) {
    const char *names[64] = {"net", "data"};
    int count = 2;
    for (const struct layer_type *const *type = layer_types; *type && count < 64; type++)
        names[count++] = (*type)->name;
    const char *near = nearest_name(section->name, names, count);
    return near ? error_set(ERROR_INPUT, "%s:%d: [%s] is not known; did you mean [%s]?",
                            net->config->path, section->line, section->name, near)
                : error_set(ERROR_INPUT,
                            "%s:%d: [%s] is not known; 'clnet help config' lists the sections",
                            net->config->path, section->line, section->name);
}

/* ---- [net] ---- */

static int check_schedule(const struct net *net, const struct config_section *section) {
    const struct net_options *o = &net->options;
    if (o->policy == POLICY_STEPS) {
        if (o->steps.count == 0 || o->steps.count != o->scales.count)
            return blame(error_set(ERROR_INPUT,
                                   "steps: policy=steps needs as many steps as scales, and there "
                                   "are %d and %d",
                                   o->steps.count, o->scales.count),
                         net, section);
        for (int i = 1; i < o->steps.count; i++) {
            if (o->steps.values[i] <= o->steps.values[i - 1])
                return fail(net, section, "steps: they must rise");
        }
    }
    if (o->subdivisions > o->batch)
        return blame(error_set(ERROR_INPUT, "subdivisions: %d are more than the batch of %d",
                               o->subdivisions, o->batch),
                     net, section);
    return 0;
}

/* Whether inputs of this shape can come from pictures, and not only from numbers. */
static int is_picture(struct shape input) {
    return (input.h > 1 || input.w > 1) && (input.c == 1 || input.c == 3);
}

static int read_net_section(struct net *net) {
    if (net->config->count == 0)
        return error_set(ERROR_INPUT, "%s: there is no section in it; the first is [net]",
                         net->config->path);
    const struct config_section *section = &net->config->sections[0];
    if (!is_one_of(section->name, net_names))
        return error_set(ERROR_INPUT, "%s:%d: the first section is [%s]; it must be [net]",
                         net->config->path, section->line, section->name);
    struct config_binding bindings[] = {{net_option_table, &net->options},
                                        {augment_option_table, &net->augment}};
    TRY(config_bind(net->config, section, bindings, 2));

    const struct net_options *o = &net->options;
    if (o->inputs && (o->height || o->width || o->channels))
        return fail(net, section, "inputs: it stands in place of height, width and channels");
    if (o->inputs)
        net->input = (struct shape){.c = o->inputs, .h = 1, .w = 1};
    else if (o->height && o->width && o->channels)
        net->input = (struct shape){.c = o->channels, .h = o->height, .w = o->width};
    else
        return fail(net, section,
                    "the input is missing: give height, width and channels, or inputs");
    net->frame = net->input;
    if (is_picture(net->input)) {
        int rc = augment_frame(&net->frame, &net->augment, net->input);
        if (rc < 0)
            return blame(rc, net, section);
    }
    return check_schedule(net, section);
}

/* ---- layers ---- */

static int find_by_name(const struct net *net, const char *name) {
    for (int i = 0; i < net->count; i++) {
        if (strcmp(net->nodes[i].name, name) == 0)
            return i;
    }
    return -1;
}

/* The layer that a reference names: by name, by number, or backwards from this one. */
static int resolve(const struct net *net, const char *key, const char *reference, int *index) {
    int number;
    if (parse_int(reference, &number) == 0) {
        *index = number < 0 ? net->count + number : number;
        if (*index < 0 || *index >= net->count)
            return error_set(ERROR_INPUT, "%s: %s is not one of the %d layers before this one", key,
                             reference, net->count);
        return 0;
    }
    *index = find_by_name(net, reference);
    if (*index < 0) {
        const char *names[256];
        int count = 0;
        for (; count < net->count && count < 256; count++)
            names[count] = net->nodes[count].name;
        const char *near = nearest_name(reference, names, count);
        return error_set(ERROR_INPUT, "%s: no layer before this one is named %s%s%s%s", key,
                         reference, near ? "; did you mean " : "", near ? near : "",
                         near ? "?" : "");
    }
    return 0;
}

static int connect(struct net *net, struct node *node, const struct common *common) {
    node->inputs[0] = net->count - 1; /* NET_INPUT for the first layer */
    if (common->input)
        TRY(resolve(net, "input", common->input, &node->inputs[0]));
    int wanted = node->layer.type->input_count;
    if (wanted == 2 && !common->from)
        return error_set(ERROR_INPUT, "from: it must name the second layer that comes in");
    if (wanted == 1 && common->from)
        return error_set(ERROR_INPUT, "from: [%s] takes one input only", node->layer.type->name);
    if (common->from)
        TRY(resolve(net, "from", common->from, &node->inputs[1]));
    if (wanted == 2 && node->inputs[0] == node->inputs[1])
        return error_set(ERROR_INPUT, "from: it names the layer that comes in already");

    for (int i = 0; i < wanted; i++) {
        int from = node->inputs[i];
        if (from == NET_INPUT) {
            node->layer.inputs[i] = net->input;
            continue;
        }
        const struct node *source = &net->nodes[from];
        node->layer.inputs[i] = source->layer.plan.output;
        if (source->layer.plan.is_loss)
            return error_set(ERROR_INPUT, "input: %s ends the net; nothing can come after it",
                             source->name);
        node->needs_dx[i] = source->layer.plan.parameter_count > 0;
        for (int j = 0; j < source->layer.type->input_count; j++)
            node->needs_dx[i] |= source->needs_dx[j];
    }
    return 0;
}

static int name_layer(const struct net *net, struct node *node, const char *given) {
    if (given) {
        int other = find_by_name(net, given);
        if (other >= 0)
            return error_set(ERROR_INPUT, "name: %s is the name of the layer in line %d already",
                             given, net->nodes[other].section->line);
        for (const char *c = given; *c; c++) {
            if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
                return error_set(ERROR_INPUT,
                                 "name: '%s' has something other than letters, digits, _ and -",
                                 given);
        }
        if (!isalpha((unsigned char)given[0]))
            return error_set(ERROR_INPUT, "name: '%s' does not begin with a letter", given);
        node->name = strdup(given);
    } else {
        /* The type and which of its kind it is; so far a layer of ours has no other source of
         * names. */
        int number = 1;
        char text[64];
        do {
            (void)snprintf(text, sizeof text, "%s%d", node->layer.type->name, number++);
        } while (find_by_name(net, text) >= 0);
        node->name = strdup(text);
    }
    if (!node->name)
        return error_no_memory("a layer", 64);
    node->layer.name = node->name;
    return 0;
}

/* What a plan may ask for: sizes that OpenCL's and our own arithmetic can hold. */
static int check_plan(const struct layer_plan *plan) {
    if (shape_elements(plan->output) > INT32_MAX / TILE_MAX)
        return error_set(ERROR_INPUT, "the output of %d x %d x %d is too large", plan->output.c,
                         plan->output.h, plan->output.w);
    for (int i = 0; i < plan->parameter_count; i++) {
        if (parameter_elements(&plan->parameters[i]) > INT32_MAX)
            return error_set(ERROR_INPUT, "its %s has more elements than a layer can have",
                             plan->parameters[i].name);
    }
    return 0;
}

static int read_layer(struct net *net, struct node *node) {
    const struct config_section *section = node->section;
    const struct layer_type *type = layer_type_find(section->name);
    if (!type)
        return unknown_section(net, section);
    node->layer.type = type;
    node->description = calloc(1, type->description_size);
    if (!node->description)
        return error_no_memory("a layer", type->description_size);
    node->layer.description = node->description;

    struct common common = {0};
    struct config_binding bindings[] = {{layer_option_table, &common},
                                        {type->options, node->description}};
    TRY(config_bind(net->config, section, bindings, 2));
    int rc = name_layer(net, node, common.name);
    if (rc == 0)
        rc = connect(net, node, &common);
    if (rc == 0)
        rc = type->infer(&node->layer);
    if (rc == 0)
        rc = check_plan(&node->layer.plan);
    return rc < 0 ? blame(rc, net, section) : 0;
}

/* Darknet's older configs end in [softmax] and then [cost]; its softmax hands the cost's gradient
 * through unchanged, which makes both together what [softmax] alone is here. */
static int is_darknets_last_cost(const struct net *net, const struct config_section *section) {
    return net->count && strcmp(section->name, "cost") == 0 &&
           strcmp(net->nodes[net->count - 1].layer.type->name, "softmax") == 0;
}

static int read_layers(struct net *net) {
    for (int i = 1; i < net->config->count; i++) {
        const struct config_section *section = &net->config->sections[i];
        if (is_one_of(section->name, data_names))
            continue;
        if (is_one_of(section->name, net_names))
            return error_set(ERROR_INPUT, "%s:%d: [%s] stands twice", net->config->path,
                             section->line, section->name);
        if (is_darknets_last_cost(net, section)) {
            log_warning("%s:%d: [cost] after [softmax] is left out: [softmax] has the cost in it",
                        net->config->path, section->line);
            continue;
        }
        struct node *node = &net->nodes[net->count];
        node->section = section;
        node->index = net->count;
        int rc = read_layer(net, node);
        if (rc < 0) {
            free(node->name);
            free(node->description);
            return rc;
        }
        node->parameter_first = net->parameter_count;
        net->parameter_count += node->layer.plan.parameter_count;
        for (int p = 0; p < node->layer.plan.parameter_count; p++)
            net->parameter_elements += parameter_elements(&node->layer.plan.parameters[p]);
        net->macs += node->layer.plan.macs;
        net->count++;
    }
    return 0;
}

static int check_whole(const struct net *net) {
    if (net->count == 0)
        return error_set(ERROR_INPUT, "%s: there is no layer in it", net->config->path);
    for (int i = 0; i < net->count; i++) {
        const struct node *node = &net->nodes[i];
        int is_last = i == net->count - 1;
        int is_read = 0;
        for (int j = i + 1; j < net->count; j++) {
            for (int k = 0; k < net->nodes[j].layer.type->input_count; k++)
                is_read |= net->nodes[j].inputs[k] == i;
        }
        if (is_last && !node->layer.plan.is_loss)
            return fail(net, node->section,
                        "the net ends here, without a loss: add [softmax] or [cost]");
        if (!is_last && node->layer.plan.is_loss)
            return fail(net, node->section, "it ends the net, and yet a layer follows");
        if (!is_last && !is_read)
            return fail(net, node->section, "no layer takes its output");
    }
    const struct node *loss = &net->nodes[net->count - 1];
    if (!loss->needs_dx[0])
        return fail(net, loss->section, "no layer before it has anything to learn");
    return 0;
}

static int read_data_section(struct net *net) {
    const struct config_section *section = config_find(net->config, data_names);
    struct config_section none = {.name = (char *)"data"};
    struct config_binding binding = {data_option_table, &net->data};
    for (int i = 0; section && i < net->config->count; i++) {
        const struct config_section *other = &net->config->sections[i];
        if (other != section && strcmp(other->name, section->name) == 0)
            return error_set(ERROR_INPUT, "%s:%d: [data] stands twice", net->config->path,
                             other->line);
    }
    return config_bind(net->config, section ? section : &none, &binding, 1);
}

int net_create(struct net **out, const struct config *config) {
    struct net *net = calloc(1, sizeof *net);
    if (!net)
        return error_no_memory("the net", sizeof *net);
    net->config = config;
    net->nodes = calloc((size_t)config->count + 1, sizeof *net->nodes);
    int rc = net->nodes ? 0 : error_no_memory("the net", sizeof *net->nodes);
    if (rc == 0)
        rc = read_net_section(net);
    if (rc == 0)
        rc = read_data_section(net);
    if (rc == 0)
        rc = read_layers(net);
    if (rc == 0)
        rc = check_whole(net);
    if (rc < 0) {
        net_free(net);
        return rc;
    }
    *out = net;
    return 0;
}

void net_free(struct net *net) {
    if (!net)
        return;
    for (int i = 0; i < net->count; i++) {
        free(net->nodes[i].name);
        free(net->nodes[i].description);
    }
    free(net->nodes);
    free(net);
}

const struct layer *net_loss(const struct net *net) {
    return &net->nodes[net->count - 1].layer;
}

enum truth net_truth_kind(const struct net *net) {
    return net_loss(net)->plan.labels_only ? TRUTH_LABELS : TRUTH_NUMBERS;
}

const struct parameter *net_parameter(const struct net *net, int index,
                                      const struct layer **layer) {
    for (int i = net->count - 1; i >= 0; i--) {
        const struct node *node = &net->nodes[i];
        if (node->parameter_first <= index && node->layer.plan.parameter_count > 0) {
            if (layer)
                *layer = &node->layer;
            return &node->layer.plan.parameters[index - node->parameter_first];
        }
    }
    return NULL;
}

int net_micro_batch(const struct net *net) {
    return (net->options.batch + net->options.subdivisions - 1) / net->options.subdivisions;
}

void net_limit_batch(struct net *net, int64_t most) {
    int micro_batch = net_micro_batch(net);
    net->options.batch = micro_batch < most ? micro_batch : (int)most;
    net->options.subdivisions = 1;
}

struct data_request net_data_request(const struct net *net) {
    const struct layer_plan *plan = &net_loss(net)->plan;
    /* Pictures in memory that are not of the network's size are a mistake, unless `resize` asks. */
    struct shape none = {0};
    return (struct data_request){.input = net->input,
                                 .frame = net->augment.resize ? net->frame : none,
                                 .outputs = plan->output.c,
                                 .labels_only = plan->labels_only};
}

/* ---- writing a config ---- */

static void print_section(FILE *out, const struct option *table, const void *target) {
    for (const struct option *row = table; row->key; row++) {
        if (!option_is_set(target, row))
            continue;
        (void)fprintf(out, "%s=", row->key);
        (void)option_print(out, target, row);
        (void)fputc('\n', out);
    }
}

void net_print_config(const struct net *net, FILE *out) {
    (void)fputs("[net]\n", out);
    print_section(out, net_option_table, &net->options);
    print_section(out, augment_option_table, &net->augment);
    (void)fputs("\n[data]\n", out);
    print_section(out, data_option_table, &net->data);
    for (int i = 0; i < net->count; i++) {
        const struct node *node = &net->nodes[i];
        (void)fprintf(out, "\n[%s]\nname=%s\n", node->layer.type->name, node->name);
        if (node->inputs[0] != i - 1)
            (void)fprintf(out, "input=%d\n", node->inputs[0]);
        if (node->layer.type->input_count == 2)
            (void)fprintf(out, "from=%d\n", node->inputs[1]);
        print_section(out, node->layer.type->options, node->description);
    }
}

void net_document_config(FILE *out) {
    (void)fputs(
        "A config is text: sections in [brackets], each followed by key=value lines. '#' and ';'\n"
        "begin a comment, at the start of a line or after a space. The first section is [net];\n"
        "[data] says what to learn from; each other section is a layer, in order. The last layer "
        "is\n"
        "[softmax] or [cost]. Sections, keys, defaults and output sizes are Darknet's where "
        "Darknet\n"
        "has them. `clnet train --set section.key=value` overrides a key; a layer's name serves "
        "as\n"
        "its section.\n\n[net]  (or [network]) the input, the batch, and how to train\n",
        out);
    options_document(out, net_option_table);
    (void)fputs(
        "\n[net]  where the input is a picture: its size, and what changes it in training\n", out);
    options_document(out, augment_option_table);
    (void)fputs("\n[data]  what to learn from; paths are seen from the config's directory\n", out);
    options_document(out, data_option_table);
    (void)fputs("\nEvery layer\n", out);
    options_document(out, layer_option_table);
    for (const struct layer_type *const *type = layer_types; *type; type++) {
        (void)fprintf(out, "\n[%s]", (*type)->name);
        for (const char *const *alias = (*type)->aliases; alias && *alias; alias++)
            (void)fprintf(out, " or [%s]", *alias);
        (void)fprintf(out, "  %s\n", (*type)->help);
        options_document(out, (*type)->options);
    }
}
