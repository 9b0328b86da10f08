{{- define "smartgate.labels" -}}
{{ include "smartgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "smartgate.selector" -}}
app.kubernetes.io/name: smartgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "smartgate.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
