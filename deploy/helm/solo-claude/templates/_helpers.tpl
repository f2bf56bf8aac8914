{{- /* Made by `agc generate --only helm`. Change definitions/stacks/solo-claude.yaml or your copy, not this file. */ -}}
{{- define "stack.image" -}}
{{- $name := .image.repository -}}
{{- if .registry }}{{ $name = printf "%s/%s" .registry $name }}{{ end -}}
{{- if .image.digest }}{{ printf "%s@%s" $name .image.digest }}{{ else }}{{ printf "%s:%s" $name .image.tag }}{{ end -}}
{{- end -}}
