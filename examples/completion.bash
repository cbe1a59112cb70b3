# Completion of interlock's verbs and flags in bash: source this file.
#
# After -- stands a command, and interlock hands on every word of it: it must not be asked there, because
# it would run that command instead of completing it.
_interlock() {
	local word=${COMP_WORDS[COMP_CWORD]} i
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [ "${COMP_WORDS[i]}" = -- ]; then
			COMPREPLY=($(compgen -c -f -- "$word"))
			return
		fi
	done
	local words=("${COMP_WORDS[@]:0:COMP_CWORD}")
	# A lone -- is a flag about to be typed; as a whole word it would begin the command.
	case $word in
	--) word=- words+=(-) ;;
	-*) words+=("$word") ;;
	esac
	COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$word"))
}
complete -o default -F _interlock interlock
