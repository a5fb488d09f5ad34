# bash completion for millrace, made of its own tables by: millrace help --completion
# Source it, or put it into /usr/share/bash-completion/completions/millrace.

_millrace_words() {
    case $1 in
    '') echo init doctor enqueue serve status explain results jobs costs tenant prices reconcile cancel dlq config version help ;;
    jobs) echo list ;;
    tenant) echo list show set ;;
    prices) echo list import check recost ;;
    dlq) echo list show replay drop ;;
    esac
}
_millrace_options() {
    case $1 in
    'init') echo --output --config --help ;;
    'doctor') echo --output --config --help ;;
    'enqueue') echo --text --url --jsonl --pipeline --tenant --priority --metadata --idempotency-key --deadline --wait --dry-run --timeout --output --config --help ;;
    'serve') echo --listen --port --config --help ;;
    'status') echo --output --config --help ;;
    'explain') echo --output --config --help ;;
    'results') echo --step --output --config --help ;;
    'jobs list') echo --state --tenant --pipeline --since --limit --output --config --help ;;
    'costs') echo --by --since --until --tenant --output --config --help ;;
    'tenant list') echo --output --config --help ;;
    'tenant show') echo --output --config --help ;;
    'tenant set') echo --cap-day --cap-month --cap-job --on-cap --rpm --tpm --output --config --help ;;
    'prices list') echo --provider --model --at --all --output --config --help ;;
    'prices import') echo --dry-run --replace --provider --from --output --config --help ;;
    'prices check') echo --output --config --help ;;
    'prices recost') echo --since --tenant --dry-run --output --config --help ;;
    'reconcile') echo --file --provider --tolerance --output --config --help ;;
    'cancel') echo --output --config --help ;;
    'dlq list') echo --tenant --pipeline --class --since --limit --output --config --help ;;
    'dlq show') echo --message --output --config --help ;;
    'dlq replay') echo --tenant --pipeline --class --since --all --dry-run --yes --output --config --help ;;
    'dlq drop') echo --tenant --pipeline --class --since --all --dry-run --yes --output --config --help ;;
    'config') echo --print --config --help ;;
    'version') echo --output --config --help ;;
    'help') echo --man --completion --config --help ;;
    esac
}
_millrace_values() {
    case "$1 $2" in
    'init --output' | 'init -o') echo 'table json' ;;
    'init --config') echo FILE ;;
    'doctor --output' | 'doctor -o') echo 'table json' ;;
    'doctor --config') echo FILE ;;
    'enqueue --text') echo NONE ;;
    'enqueue --url') echo NONE ;;
    'enqueue --jsonl') echo FILE ;;
    'enqueue --pipeline' | 'enqueue -p') echo NONE ;;
    'enqueue --tenant' | 'enqueue -t') echo NONE ;;
    'enqueue --priority') echo NONE ;;
    'enqueue --metadata' | 'enqueue -m') echo NONE ;;
    'enqueue --idempotency-key') echo NONE ;;
    'enqueue --deadline') echo NONE ;;
    'enqueue --timeout') echo NONE ;;
    'enqueue --output' | 'enqueue -o') echo 'table json ids' ;;
    'enqueue --config') echo FILE ;;
    'serve --listen') echo NONE ;;
    'serve --port') echo NONE ;;
    'serve --config') echo FILE ;;
    'status --output' | 'status -o') echo 'table json' ;;
    'status --config') echo FILE ;;
    'explain --output' | 'explain -o') echo 'table json' ;;
    'explain --config') echo FILE ;;
    'results --step') echo NONE ;;
    'results --output' | 'results -o') echo 'table json' ;;
    'results --config') echo FILE ;;
    'jobs list --state' | 'jobs list -s') echo 'queued running waiting done dead cancelled' ;;
    'jobs list --tenant' | 'jobs list -t') echo NONE ;;
    'jobs list --pipeline' | 'jobs list -p') echo NONE ;;
    'jobs list --since') echo NONE ;;
    'jobs list --limit' | 'jobs list -n') echo NONE ;;
    'jobs list --output' | 'jobs list -o') echo 'table json' ;;
    'jobs list --config') echo FILE ;;
    'costs --by') echo 'tenant day pipeline step model provider' ;;
    'costs --since') echo NONE ;;
    'costs --until') echo NONE ;;
    'costs --tenant' | 'costs -t') echo NONE ;;
    'costs --output' | 'costs -o') echo 'table json' ;;
    'costs --config') echo FILE ;;
    'tenant list --output' | 'tenant list -o') echo 'table json' ;;
    'tenant list --config') echo FILE ;;
    'tenant show --output' | 'tenant show -o') echo 'table json' ;;
    'tenant show --config') echo FILE ;;
    'tenant set --cap-day') echo NONE ;;
    'tenant set --cap-month') echo NONE ;;
    'tenant set --cap-job') echo NONE ;;
    'tenant set --on-cap') echo 'park dead degrade' ;;
    'tenant set --rpm') echo NONE ;;
    'tenant set --tpm') echo NONE ;;
    'tenant set --output' | 'tenant set -o') echo 'table json' ;;
    'tenant set --config') echo FILE ;;
    'prices list --provider') echo NONE ;;
    'prices list --model' | 'prices list -m') echo NONE ;;
    'prices list --at') echo NONE ;;
    'prices list --output' | 'prices list -o') echo 'table json' ;;
    'prices list --config') echo FILE ;;
    'prices import --provider') echo NONE ;;
    'prices import --from') echo NONE ;;
    'prices import --output' | 'prices import -o') echo 'table json' ;;
    'prices import --config') echo FILE ;;
    'prices check --output' | 'prices check -o') echo 'table json' ;;
    'prices check --config') echo FILE ;;
    'prices recost --since') echo NONE ;;
    'prices recost --tenant' | 'prices recost -t') echo NONE ;;
    'prices recost --output' | 'prices recost -o') echo 'table json' ;;
    'prices recost --config') echo FILE ;;
    'reconcile --file' | 'reconcile -f') echo FILE ;;
    'reconcile --provider') echo NONE ;;
    'reconcile --tolerance') echo NONE ;;
    'reconcile --output' | 'reconcile -o') echo 'table json' ;;
    'reconcile --config') echo FILE ;;
    'cancel --output' | 'cancel -o') echo 'table json' ;;
    'cancel --config') echo FILE ;;
    'dlq list --tenant' | 'dlq list -t') echo NONE ;;
    'dlq list --pipeline' | 'dlq list -p') echo NONE ;;
    'dlq list --class') echo NONE ;;
    'dlq list --since') echo NONE ;;
    'dlq list --limit' | 'dlq list -n') echo NONE ;;
    'dlq list --output' | 'dlq list -o') echo 'table json' ;;
    'dlq list --config') echo FILE ;;
    'dlq show --output' | 'dlq show -o') echo 'table json' ;;
    'dlq show --config') echo FILE ;;
    'dlq replay --tenant' | 'dlq replay -t') echo NONE ;;
    'dlq replay --pipeline' | 'dlq replay -p') echo NONE ;;
    'dlq replay --class') echo NONE ;;
    'dlq replay --since') echo NONE ;;
    'dlq replay --output' | 'dlq replay -o') echo 'table json' ;;
    'dlq replay --config') echo FILE ;;
    'dlq drop --tenant' | 'dlq drop -t') echo NONE ;;
    'dlq drop --pipeline' | 'dlq drop -p') echo NONE ;;
    'dlq drop --class') echo NONE ;;
    'dlq drop --since') echo NONE ;;
    'dlq drop --output' | 'dlq drop -o') echo 'table json' ;;
    'dlq drop --config') echo FILE ;;
    'config --config') echo FILE ;;
    'version --output' | 'version -o') echo 'table json' ;;
    'version --config') echo FILE ;;
    'help --man') echo FILE ;;
    'help --config') echo FILE ;;
    esac
}
_millrace() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local first=${COMP_WORDS[1]} command
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$(_millrace_words '')" -- "$cur")
        return
    fi
    command=$first
    if [[ -n $(_millrace_words "$first") ]]; then
        if ((COMP_CWORD == 2)); then
            mapfile -t COMPREPLY < <(compgen -W "$(_millrace_words "$first")" -- "$cur")
            return
        fi
        command="$first ${COMP_WORDS[2]}"
    fi
    local values
    values=$(_millrace_values "$command" "$prev")
    if [[ $values == FILE ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    elif [[ $values == NONE ]]; then
        return
    elif [[ -n $values ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_millrace_options "$command")" -- "$cur")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}
complete -F _millrace millrace
